"""A short rise to the full rate and a long straight way down."""

from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Slanted(Schedule):
    """A slanted triangle.

    Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification", equation 3, whose
    last steps end below the foot where `rise` of the steps is no whole number; they end at it here.
    """

    rise: float = 0.1  # fraction of the steps that go up; cut_frac there
    ratio: float = 32.0  # how much smaller the rate at both ends is than the full one

    def curve(self, progress: Progress) -> float:
        top = int(progress.steps * self.rise + 1e-9)  # a whole number, so that a step has the full rate
        rising = progress.step < top
        height = progress.step / top if rising else (progress.steps - progress.step) / (progress.steps - top)
        return (1 + height * (self.ratio - 1)) / self.ratio
