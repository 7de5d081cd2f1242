"""Sums over the tokens of a split, one of each text.

In a file of its own, since importing torchmetrics takes a second.

Shapes: b batch, s sums, u units that are drawn as a whole, r resamples.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from ftlab.tasks.sums import Sums


class TokenSums(Metric):
    """(s,) sums of all texts of all ranks: loss, how many tokens are right, how many are asked for, and what else."""

    higher_is_better = None
    full_state_update = False
    sums: Tensor

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, sums: Tensor, targets: Tensor) -> None:
        """sums: (b, s) of each text."""
        self.sums = self.sums + sums.sum(0).to(self.sums)

    def compute(self) -> Tensor:
        return self.sums


def of_figures(
    units: np.ndarray, figures: Callable[[Tensor], Mapping[str, float | None]], names: Sequence[str]
) -> dict[str, Sums]:
    """The figures of these names as functions of sums. units: (u, s); figures: all of them, of sums (s,)."""

    def of(name: str) -> Callable[[np.ndarray], np.ndarray]:
        def figure(sums: np.ndarray) -> np.ndarray:
            found = (figures(torch.from_numpy(row))[name] for row in sums)
            return np.array([np.nan if one is None else one for one in found])

        return figure

    return {name: Sums(units, of(name)) for name in dict.fromkeys(names)}
