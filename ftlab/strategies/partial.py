"""A part of the network: the last stages, or those that patterns name."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.errors import UserError
from ftlab.patterns import match
from ftlab.strategies.base import Phase, Strategy


@dataclass(frozen=True, kw_only=True)
class Partial(Strategy):
    """One phase in which the head and some stages of the backbone train."""

    last: int = 2  # stages of the backbone, counted from its output
    patterns: tuple[str, ...] = ()  # stages by name instead; the head too must be named then

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        chosen = self._named(stages) if self.patterns else self._last(stages)
        return [Phase("partial", epochs, dict.fromkeys(chosen, 1.0), **self.held)]

    def _named(self, stages: Sequence[str]) -> list[str]:
        named = {s for pattern in self.patterns for s in match(pattern, stages, "strategy.patterns")}
        return [s for s in stages if s in named]

    def _last(self, stages: Sequence[str]) -> list[str]:
        backbone = [s for s in stages if not s.startswith("head/")]
        if not 0 <= self.last <= len(backbone):
            raise UserError(f"strategy.last={self.last}: the backbone has {len(backbone)} stages; give 0 to that many")
        return list(stages[len(backbone) - self.last :])
