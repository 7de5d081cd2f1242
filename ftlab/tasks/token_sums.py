"""Sums over the tokens of a split, one of each text.

In a file of its own, since importing torchmetrics takes a second.

Shapes: b batch.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


class TokenSums(Metric):
    """(3,) loss, how many tokens are right, how many are asked for; of all ranks."""

    higher_is_better = None
    full_state_update = False
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, sums: Tensor, targets: Tensor) -> None:
        """sums: (b, 3) of each text."""
        self.sums = self.sums + sums.sum(0).to(self.sums)

    def compute(self) -> Tensor:
        return self.sums
