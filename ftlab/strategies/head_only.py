"""The head alone, on a backbone that stays frozen."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.patterns import match
from ftlab.strategies.base import Phase, Strategy


@dataclass(frozen=True, kw_only=True)
class HeadOnly(Strategy):
    """One phase in which the head trains; the option feature_extraction is the same with an mlp head."""

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        head = match("head", stages, "strategy=head_only")
        return [Phase("head", epochs, dict.fromkeys(head, 1.0), batchnorm=self.batchnorm)]
