"""Weights & Biases: offline files in the run's folder, which `wandb sync` sends, or its service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from ftlab.training.tracking.base import Tracker, final, needs

STEP = "trainer/global_step"  # as Lightning's logger calls it


class Wandb(Tracker):
    name = "wandb"

    def __init__(self, project: str, mode: Literal["offline", "online"]) -> None:
        """Raises: UserError where wandb is not installed."""
        needs(self.name, "wandb", "wandb")
        self.project, self.mode = project, mode

    def logger(self, folder: Path, number: str | None) -> Logger:
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        wandb.finish()  # one of an earlier run in this process, which this one would else write into
        settings = wandb.Settings(silent=True, console="off", mode=self.mode)
        # By itself, since Lightning's logger hands over an argument that wandb warns of.
        run = wandb.init(
            project=self.project, name=folder.name, dir=folder, id=number, resume="allow", settings=settings
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        return WandbLogger(experiment=run)

    def number(self, logger: Any) -> str | None:
        return str(logger.experiment.id)

    def phase(self, logger: Any, name: str, place: int, epoch: int) -> None:
        logger.experiment.summary[f"phase.{place}"] = f"{name} from epoch {epoch + 1}"
        logger.log_metrics({"phase": place}, step=epoch)

    def leave(self, logger: Any, folder: Path, report: Mapping[str, Any]) -> None:
        import wandb

        logger.experiment.summary.update(final(report))
        artifact = wandb.Artifact(f"run-{logger.experiment.id}", type="run")
        for path in (folder / "report.html", folder / "report.json", *sorted((folder / "bundle").iterdir())):
            artifact.add_file(str(path), str(path.relative_to(folder)))
        logger.experiment.log_artifact(artifact)
        wandb.finish()
