"""Up to the full rate and far down again, both along half a cosine."""

import math
from dataclasses import dataclass

from ftlab.schedules.base import Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Up to the full rate and far down again, both along half a cosine.

    Source: Smith and Topin 2018, "Super-Convergence".
    """

    rise: float = 0.3  # fraction of the steps that go up
    start: float = 0.04  # fraction of the rate at the first step
    end: float = 0.0001  # fraction of the rate at the end

    def curve(self, progress: Progress) -> float:
        done = progress.fraction
        if done < self.rise:
            return _ease(self.start, 1.0, done / self.rise)
        return _ease(1.0, self.end, (done - self.rise) / (1 - self.rise))


def _ease(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
