"""The head's last layer without gradient descent, on a backbone that stays frozen."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.strategies.base import Phase, Strategy, head_phase


@dataclass(frozen=True, kw_only=True)
class ClosedForm(Strategy):
    """One phase of one epoch, whatever trainer.max_epochs says: one pass over the images, then a convex fit."""

    C: float | None = None  # weight of the losses against the penalty; None: chosen by cross-validation

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        return head_phase("closed_form", self.C, stages)
