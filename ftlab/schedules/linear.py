"""A straight line from the full rate to the floor."""

from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """A straight line from the full rate to the floor."""

    floor: float = 0.0  # fraction of the rate that is left at the end

    def curve(self, progress: Progress) -> float:
        return 1 - (1 - self.floor) * progress.fraction
