"""Whether windows are better seen as they are or relative to their last step, by measurement.

Shapes: n windows, t steps, c channels, k targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ftlab.inputs.sequences.steps import Steps

GAIN = 0.1  # part of the error on val that seeing windows relative to their last step must save
LARGEST = 2**25  # numbers of all training windows; beyond, nothing is measured


@dataclass(frozen=True)
class Windows:
    """Those of a split, with the numbers that are to be told."""

    steps: Sequence[Steps]  # n of t steps
    targets: Tensor  # (n, k)

    @property
    def series(self) -> Tensor:
        """(n, t, c) float64."""
        return torch.from_numpy(np.stack([one.series for one in self.steps if one.series is not None]))


def chosen(train: Windows, val: Windows, own: tuple[int, ...]) -> tuple[tuple[int, ...] | None, str]:
    """The `levels` of the preprocessing, and what a person should know of the choice, or nothing.

    Ridge regression on all steps is fitted to train and judged on val, which comes later: where levels drift (prices,
    CO2), what was learned at the levels of train does not hold at those of val. own: the targets' own channels.
    """
    if train.series.numel() > LARGEST:
        return None, ""
    kept, relative = (_error(train, val, levels) for levels in (None, own))
    if not relative < (1 - GAIN) * kept:
        return None, ""
    return own, (
        "data.level=auto: last, windows are seen relative to their last step; on val the mean squared error of ridge "
        f"regression is {relative / kept:.2g} of what it is with levels"
    )


def _error(train: Windows, val: Windows, levels: tuple[int, ...] | None) -> float:
    """Mean squared error on val, in variances of the training targets."""
    from ftlab.convex.ridge import ridge  # scipy takes a while to import

    series, mean, std = train.series, train.targets.double().mean(0), train.targets.double().std(0, correction=0)
    middle = series.nanmean((0, 1))
    deviation = (series - middle).square().nanmean((0, 1)).sqrt().clamp_min(1e-12)
    features, others = (flat(((one.series - middle) / deviation).nan_to_num(nan=0.0), levels) for one in (train, val))
    layer = ridge(features, (train.targets.double() - mean) / std)
    outputs = others @ layer.weight.T + layer.bias
    return float((outputs - (val.targets.double() - mean) / std).square().mean())


def flat(series: Tensor, levels: Sequence[int] | None) -> Tensor:
    """(n, t, c) to (n, d): all steps; with `levels` relative to the last, beside its values in these channels."""
    if levels is None:
        return series.flatten(1)
    last = series[:, -1:]
    return torch.cat([(series - last)[:, :-1].flatten(1), series[:, -1, list(levels)]], dim=1)
