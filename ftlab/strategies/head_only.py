"""The head alone, on a backbone that stays frozen."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.patterns import match
from ftlab.strategies.base import HeadInit, Phase, Strategy, head_phase, share


@dataclass(frozen=True, kw_only=True)
class HeadOnly(Strategy):
    """One phase in which the head trains; the option feature_extraction is the same with an mlp head."""

    head_init: HeadInit = "random"  # closed_form: the first epoch fits the head without gradient descent
    C: float | None = None  # of that fit, see Phase

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        head = match("head", stages, "strategy=head_only")
        begun = head_phase(self.head_init, self.C, stages)
        name = "descent" if begun else "head"
        *_, length = share(epochs, [*(phase.name for phase in begun), name], [*(0.0 for _ in begun), 1.0])
        return [*begun, Phase(name, length, dict.fromkeys(head, 1.0), **self.held)]
