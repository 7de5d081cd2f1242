"""The full rate at every step."""

from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The full rate at every step."""

    def curve(self, progress: Progress) -> float:
        return 1.0
