"""Rates by pattern: early, general stages learn slower than the head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftlab.errors import UserError
from ftlab.patterns import cover
from ftlab.rates.base import Rates


@dataclass(frozen=True)
class Differential(Rates):
    """Each stage's multiplier by the one pattern that covers it; `rest` covers all others."""

    patterns: Mapping[str, float]

    def of(self, stages: Sequence[str]) -> dict[str, float]:
        for pattern, rate in self.patterns.items():
            if not 0 < rate < float("inf"):
                raise UserError(f"rates.patterns: '{pattern}' has the rate {rate}; it must be above 0")
        return cover(self.patterns, stages, "rates.patterns")
