"""The rate drops by a factor every so many epochs."""

from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """The rate drops by a factor every so many epochs."""

    every: float = 10.0  # epochs from one drop to the next
    gamma: float = 0.1  # what a drop multiplies the rate with

    def curve(self, progress: Progress) -> float:
        return self.gamma ** int(progress.epochs / self.every)
