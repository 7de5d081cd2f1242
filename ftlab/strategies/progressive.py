"""The head first, then the backbone thaws towards the input, one group of stages a phase.

Source: gradual unfreezing, Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.errors import UserError
from ftlab.strategies.base import HeadInit, Phase, Strategy, head_phase, share


@dataclass(frozen=True, kw_only=True)
class Progressive(Strategy):
    """Head, then group by group towards the input, until everything trains."""

    groups: int | None = 2  # groups of backbone stages, one thawed a phase; None: stage by stage
    head_share: float = 0.2  # part of the epochs for the head alone; the groups share the others evenly
    each: int | None = None  # epochs of every phase but the last, which has all that are left; None: by head_share
    head_init: HeadInit = "random"  # closed_form: one epoch fits the head without gradient descent instead
    C: float | None = None  # of that fit, see Phase
    patience: int | None = None  # epochs without a better monitored value that end a phase early
    min_delta: float = 0.0  # a smaller gain is none
    restore_best: bool = True  # a phase begins with the best weights of the one before

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        groups = self._groups([s for s in stages if not s.startswith("head/")])
        names = ["head", *(group[0].split("/", 1)[1] for group in reversed(groups))]
        convex = head_phase(self.head_init, self.C, stages)
        lengths = self._lengths(epochs, names, 0.0 if convex else self.head_share)
        starts = [sum(map(len, groups)), *(stages.index(group[0]) for group in reversed(groups))]
        phases = [
            Phase(
                name=name,
                epochs=length,
                rates=dict.fromkeys(stages[start:], 1.0),
                patience=self.patience,
                min_delta=self.min_delta,
                start="best" if self.restore_best and number else "current",
                **self.held,
            )
            for number, (name, length, start) in enumerate(zip(names, lengths, starts, strict=True))
        ]
        return [*convex, *phases[len(convex) :]]

    def _lengths(self, epochs: int, names: Sequence[str], head_share: float) -> list[int]:
        others = len(names) - 1
        if self.each is None:
            return share(epochs, names, [head_share, *[(1 - head_share) / others] * others])
        if (rest := epochs - self.each * others) < 1:
            raise UserError(
                f"trainer.max_epochs={epochs}: {len(names)} phases, all but the last of strategy.each={self.each} "
                f"epochs, need at least {self.each * others + 1}; give more epochs or fewer phases (strategy.groups)"
            )
        return [self.each] * others + [rest]

    def _groups(self, backbone: Sequence[str]) -> list[list[str]]:
        """The stages in `groups` runs, as even as can be, the larger ones at the input end."""
        number = len(backbone) if self.groups is None else self.groups
        if not 1 <= number <= len(backbone):
            raise UserError(
                f"strategy.groups={number}: the backbone has {len(backbone)} stages; give 1 to that many, "
                "or null for one group a stage"
            )
        size, larger = divmod(len(backbone), number)
        ends = [size * (i + 1) + min(i + 1, larger) for i in range(number)]
        return [list(backbone[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
