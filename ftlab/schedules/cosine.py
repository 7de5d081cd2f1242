"""Half a cosine from the full rate to the floor."""

import math
from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from the full rate to the floor.

    Source: Loshchilov and Hutter 2017, "SGDR".
    """

    floor: float = 0.0  # fraction of the rate that is left at the end

    def curve(self, progress: Progress) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress.fraction)) / 2
