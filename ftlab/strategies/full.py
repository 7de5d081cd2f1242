"""The whole network from the first step."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.strategies.base import HeadInit, Phase, Strategy, head_phase, share


@dataclass(frozen=True, kw_only=True)
class Full(Strategy):
    """One phase in which every stage trains; with random weights it is training from scratch."""

    head_init: HeadInit = "random"  # closed_form: the first epoch fits the head without gradient descent
    C: float | None = None  # of that fit, see Phase

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        begun = head_phase(self.head_init, self.C, stages)
        *_, length = share(epochs, [*(phase.name for phase in begun), "full"], [*(0.0 for _ in begun), 1.0])
        return [*begun, Phase("full", length, dict.fromkeys(stages, 1.0), **self.held)]
