"""MLflow: a store of runs, by default a file that `mlflow ui` shows."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from ftlab.training.tracking.base import Tracker, final, needs

LOCAL = "sqlite:///"


class Mlflow(Tracker):
    name = "mlflow"

    def __init__(self, uri: str, experiment: str) -> None:
        """uri: as MLflow's MLFLOW_TRACKING_URI. Raises: UserError where MLflow is not installed."""
        needs(self.name, "mlflow", "mlflow")
        self.uri, self.experiment = uri, experiment

    def logger(self, folder: Path, number: str | None) -> Logger:
        import mlflow  # noqa: F401  # it sets the level of its logger
        from lightning.pytorch.loggers import MLFlowLogger

        for name in ("mlflow", "alembic", "lightning.pytorch.loggers.mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)  # that a new store is a new one
        # Artifacts of a store that is a file lie beside it; MLflow itself would put them where it was started.
        beside = Path(self.uri.removeprefix(LOCAL)).absolute().parent / "mlartifacts"
        location = beside.as_uri() if self.uri.startswith(LOCAL) else None
        return MLFlowLogger(
            self.experiment, str(folder), tracking_uri=self.uri, run_id=number, artifact_location=location
        )

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Names of classes and columns, which are in those of settings, may hold what MLflow refuses."""
        return {re.sub(r"[^\w/.\- :]", "_", name): value for name, value in settings.items()}

    def number(self, logger: Any) -> str | None:
        return str(logger.run_id)

    def phase(self, logger: Any, name: str, place: int, epoch: int) -> None:
        logger.experiment.set_tag(logger.run_id, f"phase.{place}", f"{name} from epoch {epoch + 1}")
        logger.log_metrics({"phase": place}, step=epoch)

    def leave(self, logger: Any, folder: Path, report: Mapping[str, Any]) -> None:
        logger.log_metrics(final(report), step=len(report["history"]))
        for name in ("report.html", "report.json"):
            logger.experiment.log_artifact(logger.run_id, str(folder / name))
        logger.experiment.log_artifacts(logger.run_id, str(folder / "bundle"), "bundle")
