"""The rate falls by the same factor in each epoch, step by step."""

from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """The rate falls by the same factor in each epoch, step by step."""

    gamma: float = 0.9  # what an epoch multiplies the rate with

    def curve(self, progress: Progress) -> float:
        return self.gamma**progress.epochs
