"""How sure the figures of a split are, and whether they are any better than what needs no network.

By the bootstrap: the split's samples, or its groups where samples have groups, are drawn anew with replacement, and an
interval holds the figures of LEVEL of the draws (Efron and Tibshirani 1993, "An Introduction to the Bootstrap").
scipy.stats.bootstrap and torchmetrics' BootStrapper would compute each figure anew for each draw.

Shapes: n samples, u units that are drawn as a whole, r resamples, m sums of a figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from ftlab.tasks.base import Better, Task
from ftlab.tasks.sums import Sums, Units

LEVEL = 0.95
RESAMPLES, FEWEST = 1000, 200
MOST = 2_000  # units: of more samples so many random blocks are drawn, which tell the spread to 2 % of it
WORK = 4e9  # multiplications of all resamples of one figure, above which there are fewer

Interval = tuple[float, float]


@dataclass(frozen=True)
class Beside:
    """A figure beside that of the best trivial predictor."""

    says: str  # what the predictor does: "always saying 'cat'"
    value: float
    difference: Interval  # of the figure less the predictor's, in the same resamples
    verdict: str  # better | no better | worse


@dataclass
class Judged:
    """The main figures of a split with what is to be known of them."""

    units: int = 0
    of: str = "samples"  # what the units are
    resamples: int = 0
    why: str = ""  # there is nothing of it
    intervals: dict[str, Interval] = field(default_factory=dict)
    undefined: dict[str, int] = field(default_factory=dict)  # resamples that do not define a figure
    constant: list[str] = field(default_factory=list)  # figures that are the same in all resamples
    trivial: dict[str, Beside] = field(default_factory=dict)


def judged(
    task: Task, predictions: Tensor, targets: Tensor, groups: Tensor | None = None, of: str = "samples", seed: int = 0
) -> Judged:
    """Of a split's predictions and targets (n, ...) as `compared` gives them; groups (n,): samples of one number
    are drawn together; of: what is drawn, in the plural.
    """
    count = len(targets) if groups is None else len(groups.unique())
    if count < 2:
        return Judged(why=f"of {of} there is one, so that all resamples are alike")
    units = units_of(len(targets), None if groups is None else groups.numpy(), seed)

    def sums_of(predicted: Tensor) -> Mapping[str, Sums]:
        return task.sums(predicted.expand_as(predictions).numpy(), targets.numpy(), units)

    found = sums_of(predictions)
    widest = max(sums.of_units.shape[1] for sums in found.values())
    told = Judged(count, of, int(np.clip(WORK / (units.count * widest), FEWEST, RESAMPLES)))
    weights = drawn(units.count, told.resamples, seed)
    values = {name: sums.figure(weights @ sums.of_units) for name, sums in found.items()}
    others = {one.says: sums_of(one.prediction.to(predictions)) for one in task.trivials()}
    better = task.better if others else {}
    for name, sums in found.items():
        _tell(told, name, values[name], sums)
        best = _best(name, others, -1 if better.get(name) == "min" else 1)
        beside = None if best is None else _beside(values[name], best, weights, better[name])
        told.trivial |= {} if beside is None else {name: beside}
    return told


def units_of(n: int, groups: np.ndarray | None, seed: int) -> Units:
    """Each sample is one, or each group; of more than MOST of these random blocks of equal size are."""
    if groups is not None:
        names, of = np.unique(groups, return_inverse=True)
        n = len(names)
    else:
        of = np.arange(n)
    return Units(of, n) if n <= MOST else Units(np.random.default_rng(seed).permutation(n)[of] % MOST, MOST)


def drawn(units: int, resamples: int, seed: int) -> np.ndarray:
    """(r, u) how often each unit is in each resample."""
    random = np.random.default_rng(seed)
    found = np.empty((resamples, units))
    for row in found:
        row[:] = np.bincount(random.integers(units, size=units), minlength=units)
    return found


def _tell(told: Judged, name: str, values: np.ndarray, sums: Sums) -> None:
    good = values[np.isfinite(values)]
    if len(good) < len(values):
        told.undefined[name] = len(values) - len(good)
    if not len(good):
        return
    if np.ptp(good) > 0:
        told.intervals[name] = between(good)
    elif sums.share and good[0] in (0, 1):
        told.intervals[name] = exact(float(good[0]), len(sums.of_units))
    else:
        told.constant.append(name)


def between(values: np.ndarray) -> Interval:
    """Where the middle LEVEL of values (r,) lies."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def exact(share: float, units: int) -> Interval:
    """Of a share of 0 or 1, which no resample changes (Clopper and Pearson 1934, "The Use of Confidence Limits")."""
    least = ((1 - LEVEL) / 2) ** (1 / units)
    return (least, 1.0) if share == 1 else (0.0, 1 - least)


def _best(name: str, others: Mapping[str, Mapping[str, Sums]], sign: int) -> tuple[str, float, Sums] | None:
    """The trivial predictor whose figure `name` is best, its figure, and its sums; None where none defines it."""
    there = [
        (says, float(sums[name].figure(sums[name].of_units.sum(axis=0, keepdims=True))[0]), sums[name])
        for says, sums in others.items()
    ]
    return max((one for one in there if np.isfinite(one[1])), key=lambda one: sign * one[1], default=None)


def _beside(values: np.ndarray, best: tuple[str, float, Sums], weights: np.ndarray, better: Better) -> Beside | None:
    """Values (r,) of the figure less the trivial predictor's in the same resamples; None where none defines both."""
    says, value, sums = best
    apart = values - sums.figure(weights @ sums.of_units)
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return None
    low, high = between(apart)
    gain, loss = (low, high) if better == "max" else (-high, -low)
    return Beside(says, value, (low, high), "better" if gain > 0 else "worse" if loss < 0 else "no better")


def by_split(several: Mapping[str, Judged]) -> dict[str, Any]:
    """The parts of report.json that tell of the splits: what `several` holds, by split, in plain containers."""
    there = {split: one for split, one in several.items() if one.intervals or one.trivial}
    return {
        "intervals": {
            split: {name: list(ends) for name, ends in one.intervals.items()} for split, one in there.items()
        },
        "resampled": {split: _how(one) for split, one in there.items()},
        "trivial": {
            split: {name: {**vars(best), "difference": list(best.difference)} for name, best in one.trivial.items()}
            for split, one in there.items()
        },
    }


def _how(one: Judged) -> dict[str, Any]:
    return {"level": LEVEL, "resamples": one.resamples, "of": one.of, "units": one.units, "undefined": one.undefined}


def remarks(several: Mapping[str, Judged]) -> Sequence[str]:
    """What a person should know of the intervals."""
    said = []
    for split, one in several.items():
        if one.why:
            said.append(f"{split}: figures have no intervals: {one.why}")
        for name, count in one.undefined.items():
            if name in one.intervals:
                said.append(
                    f"{split} {name}: undefined in {count:,} of {one.resamples:,} resamples, which are left out"
                )
        if one.constant:
            names = " and ".join(one.constant)
            said.append(f"{split}: {names} {'are' if len(one.constant) > 1 else 'is'} the same in all resamples, which "
                        "gives no interval")  # fmt: skip
    return said
