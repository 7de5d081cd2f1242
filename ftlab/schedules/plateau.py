"""The rate drops when the monitored value of the validation split has stopped getting better."""

from dataclasses import dataclass
from typing import ClassVar

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """The rate drops when the monitored value of the validation split has stopped getting better."""

    needs_validation: ClassVar[bool] = True

    factor: float = 0.1  # what a drop multiplies the rate with
    patience: int = 2  # epochs without a better value that make a drop
    min_delta: float = 0.0  # a smaller gain is none
    floor: float = 0.0  # fraction of the rate below which it never drops

    def curve(self, progress: Progress) -> float:
        return max(self.floor, self.factor ** self.drops(progress))

    def drops(self, progress: Progress) -> int:
        best, since, drops = float("inf"), 0, 0
        for loss in progress.losses:
            better = loss is not None and loss < best - self.min_delta
            best, since = (loss, 0) if better and loss is not None else (best, since + 1)
            if since >= self.patience:
                drops, since = drops + 1, 0
        return drops
