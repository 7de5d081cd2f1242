"""One rate for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.rates.base import Rates


@dataclass(frozen=True)
class Single(Rates):
    """Every stage learns at optimizer.lr."""

    def of(self, stages: Sequence[str]) -> dict[str, float]:
        return dict.fromkeys(stages, 1.0)
