"""Intervals that hold a number as often as they say, by samples that the network was not trained on.

Split conformal prediction: Papadopoulos et al. 2002, "Inductive Confidence Machines for Regression"; Lei et al. 2018,
"Distribution-Free Predictive Inference for Regression". The interval is as wide for every sample.

Shapes: n samples, t targets.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ftlab.errors import UserError

COUNT = 1e-9  # by which (n + 1) * coverage may be above a whole number by rounding


def rank(samples: int, coverage: float) -> int:
    """Which of the sorted errors of n samples the next one exceeds with a chance of 1 - coverage at most."""
    return math.ceil((samples + 1) * coverage - COUNT)


def least(coverage: float) -> int:
    """How many samples there must be for an interval with ends."""
    return next(n for n in range(1, 10**7) if rank(n, coverage) <= n)


def radius(errors: Tensor, coverage: float) -> list[float]:
    """(t,) half the width of the interval of each target, of errors (n, t) of samples, either sign; infinite where
    there are too few."""
    place = rank(len(errors), coverage)
    if place > len(errors):
        return [math.inf] * errors.shape[1]
    found: list[float] = errors.abs().sort(dim=0).values[place - 1].tolist()
    return found


def told(pairs: Tensor, names: Sequence[str], half: Sequence[float], coverage: float | None) -> dict[str, Any]:
    """Half the width for each target, and the share of samples that lie inside, of (n, t, 2) predictions and truths."""
    inside = (pairs[..., 0] - pairs[..., 1]).abs() <= pairs.new_tensor(half)
    each = zip(names, half, inside.float().mean(dim=0).tolist(), strict=True)
    return {
        "coverage": coverage,
        "targets": [{"target": name, "radius": radius, "inside": share} for name, radius, share in each],
    }


def check_names(names: Sequence[str]) -> None:
    """Raises: UserError for a target that is called as the key of its interval."""
    if "interval" in names:
        raise UserError("task.interval: a target is called 'interval', a key that predictions use; rename the column")


def check(coverage: float, samples: int) -> None:
    """Raises: UserError for fewer val samples than an interval needs."""
    if samples < (needed := least(coverage)):
        few = f"needs {needed} val samples, and there are {samples}"
        raise UserError(f"task.interval={coverage}: {few}; give val more of the data, or lower it")
