"""Event files for TensorBoard."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from ftlab.training.tracking.base import Tracker


class Tensorboard(Tracker):
    name = "tensorboard"
    local = True

    def logger(self, folder: Path, number: str | None) -> Logger:
        return TensorBoardLogger(folder, name="", version="tensorboard")

    def phase(self, logger: Any, name: str, place: int, epoch: int) -> None:
        logger.experiment.add_text("phase", f"{place} {name}", epoch)
