"""Metrics of a regression that torchmetrics lacks, or gives as a number where there is none.

In a file of its own, since importing torchmetrics takes a second.

Shapes: n samples, b batch, t targets.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.regression import R2Score
from torchmetrics.utilities import dim_zero_cat

NEAR_ZERO = 0.01  # standard deviations of a target, below which a relative error says nothing


class R2(R2Score):
    """R2 of each target, of standardised values.

    torchmetrics takes a sum of squares below 1e-4 for zero and subtracts large sums from each other: targets in small
    units (0.001 m) would have an R2 of 1, and targets far from zero (years) lose digits. R2 itself has no unit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, names: Sequence[str], mean: Tensor, std: Tensor) -> None:
        super().__init__(multioutput="raw_values")
        self.names = names
        self.register_buffer("mean", mean.clone(), persistent=False)
        self.register_buffer("std", std.clone(), persistent=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """preds, target: (b, t)."""
        super().update((preds - self.mean) / self.std, (target - self.mean) / self.std)

    def compute(self) -> Tensor:
        """(t,), NaN with a warning where the truth does not vary."""
        spread = self.sum_squared_error - self.sum_error**2 / self.total
        for name in _where(self.names, spread < 1e-4):
            warnings.warn(f"r2 of '{name}' is undefined: all of its {int(self.total)} values are equal", stacklevel=2)
        values = super().compute() if self.total > 1 else torch.zeros_like(spread)
        return torch.where(spread < 1e-4, torch.nan, values)


class Mape(Metric):
    """Mean absolute error as a share of the true value, of each target (0.1 is 10 %)."""

    higher_is_better = False
    full_state_update = False
    total_share: Tensor
    near_zero: Tensor
    least: Tensor
    total: Tensor

    def __init__(self, names: Sequence[str], std: Tensor) -> None:
        super().__init__()
        self.names = names
        self.register_buffer("least", NEAR_ZERO * std, persistent=False)
        self.add_state("total_share", torch.zeros(len(names)), dist_reduce_fx="sum")
        self.add_state("near_zero", torch.zeros(len(names), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """preds, target: (b, t)."""
        near = target.abs() < self.least
        self.total_share += torch.where(near, 0.0, (preds - target).abs() / target.abs()).sum(dim=0)
        self.near_zero += near.sum(dim=0)
        self.total += len(target)

    def compute(self) -> Tensor:
        """(t,), NaN with a warning where a true value is at or near zero."""
        for name in _where(self.names, self.near_zero > 0):
            place = list(self.names).index(name)
            count, least = int(self.near_zero[place]), float(self.least[place])
            said = f"{count} of {int(self.total)} values are at or near zero (below {least:.2g})"
            warnings.warn(f"mape of '{name}' is undefined: {said}", stacklevel=2)
        return torch.where(self.near_zero > 0, torch.nan, self.total_share / self.total)


class Pairs(Metric):
    """All predictions of a split beside the truth."""

    full_state_update = False
    predicted: list[Tensor]
    true: list[Tensor]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("predicted", [], dist_reduce_fx="cat")
        self.add_state("true", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """preds, target: (b, t)."""
        self.predicted.append(preds)
        self.true.append(target)

    def compute(self) -> Tensor:
        """(n, t, 2): prediction, truth."""
        return torch.stack([dim_zero_cat(self.predicted), dim_zero_cat(self.true)], dim=-1)


def _where(names: Sequence[str], flags: Tensor) -> list[str]:
    return [name for name, flag in zip(names, flags.tolist(), strict=True) if flag]


class PixelConfusion(Metric):
    """Pixels of all images by their true and their chosen class, (k, k)."""

    higher_is_better = None
    full_state_update = False
    confusion: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, shares: Tensor, true: Tensor) -> None:
        """shares (b, k, k) of the pixels of each true class that each class was chosen for, true (b, k) pixels."""
        self.confusion += (shares.double() * true[..., None]).round().long().sum(0)

    def compute(self) -> Tensor:
        return self.confusion
