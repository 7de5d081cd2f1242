"""A schedule is a pure function of a group's own progress to a multiplier of its rate.

A group's clock starts when it thaws; steps are optimizer steps. No torch here: arithmetic over numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True)
class Progress:
    """Where a group stands in its own training."""

    step: int  # optimizer steps since it thawed
    steps: int  # planned from its thaw to its end
    steps_per_epoch: int
    losses: Sequence[float | None] = ()  # monitored value of each epoch since it thawed, lower is better

    @property
    def fraction(self) -> float:
        return self.step / self.steps

    @property
    def epochs(self) -> float:
        return self.step / self.steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Warmup, then a curve. An option is a subclass in a file of its own."""

    needs_validation: ClassVar[bool] = False  # whether the curve follows the monitored value

    warmup: float = 0.0  # epochs from near 0 to the full rate, at most half of what is planned

    def multiplier(self, progress: Progress) -> float:
        """What the rate is multiplied with at this step, 0 or more."""
        warm = min(round(self.warmup * progress.steps_per_epoch), progress.steps // 2)
        if progress.step < warm:
            return (progress.step + 1) / (warm + 1)  # never 0: a step that changes nothing is a step lost
        after = replace(progress, step=progress.step - warm, steps=max(1, progress.steps - warm))
        return self.curve(after)

    @abstractmethod
    def curve(self, progress: Progress) -> float:
        """The multiplier after the warmup, whose steps `progress` no longer counts."""
