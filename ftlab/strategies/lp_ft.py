"""The head alone first, then the network behind it at a lower rate.

Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ftlab.strategies.base import HeadInit, Phase, Strategy
from ftlab.strategies.progressive import Progressive


@dataclass(frozen=True, kw_only=True)
class LpFt(Strategy):
    """Linear probe, then fine-tuning: a head that fits already sends no wild gradients into the backbone."""

    groups: int | None = 2  # groups of backbone stages, one thawed a phase; 1: all at once; None: stage by stage
    rate: float = 0.5  # multiplier of the run's rate once the head is fitted
    head_init: HeadInit = "closed_form"  # random: gradient descent on the head alone instead
    head_rate: float = 1.0  # multiplier of the head's rate beside the backbone's, once it is fitted in closed form
    head_share: float = 0.2  # part of the epochs for that; a fit in closed form takes one epoch; 0: none of them
    patience: int | None = None  # epochs without a better monitored value that end a phase early
    min_delta: float = 0.0  # a smaller gain is none
    restore_best: bool = True  # a phase begins with the best weights of the one before
    C: float | None = None  # of the fit in closed form; None: chosen by cross-validation

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        progressive = Progressive(
            groups=self.groups,
            head_share=self.head_share,
            head_init=self.head_init,
            C=self.C,
            patience=self.patience,
            min_delta=self.min_delta,
            restore_best=self.restore_best,
            **self.held,
        )
        probes = self.head_init != "random" or self.head_share > 0
        # Without a phase for the head alone, its one epoch is the others'.
        head, *rest = progressive.phases(stages, epochs if probes else epochs + 1)
        rate, of_head = self.rate if probes else 1.0, self.head_rate if head.fit == "convex" else 1.0
        rates = {stage: rate * (of_head if stage.startswith("head/") else 1.0) for stage in stages}
        rest = [replace(p, rates={stage: rates[stage] for stage in p.rates}) for p in rest]
        if head.fit == "gradient":  # alone it learns no slower than with the network behind it
            head = replace(head, rates=dict.fromkeys(head.rates, max(1.0, rate)))
        return [head, *rest] if probes else [replace(rest[0], start="current"), *rest[1:]]
