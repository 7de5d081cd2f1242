"""metrics.csv, which is written from the whole history: see saving/checkpoints.py."""

from pathlib import Path

from ftlab.training.tracking.base import Tracker


class Csv(Tracker):
    name = "csv"
    local = True

    def logger(self, folder: Path, number: str | None) -> None:
        return None
