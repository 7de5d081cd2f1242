"""Triangles between the floor and the full rate."""

from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Cyclic(Schedule):
    """Triangles between the floor and the full rate.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks".
    """

    period: float = 4.0  # epochs of one triangle, up and down
    floor: float = 0.1  # fraction of the rate at the foot of a triangle
    decay: float = 1.0  # what each triangle's height is multiplied with

    def curve(self, progress: Progress) -> float:
        cycles = progress.epochs / self.period
        height = 1 - abs(2 * (cycles % 1.0) - 1)
        return self.floor + (1 - self.floor) * height * self.decay ** int(cycles)
