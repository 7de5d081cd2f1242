"""Figures as functions of sums over samples: what resampling needs to have each a thousand times at once.

Shapes: n samples, u units that are drawn as a whole, r resamples, m sums of a figure, k classes, labels or targets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

COLUMNS = 64  # that are summed at once: of many classes all would take much memory


@dataclass(frozen=True)
class Units:
    """Which samples are drawn together."""

    of: np.ndarray  # (n,) the unit of each sample, from 0 to count - 1
    count: int

    @cached_property
    def _members(self) -> csr_array:
        """(u, n) 1 where a sample is of a unit."""
        n = len(self.of)
        return csr_array((np.ones(n), (self.of, np.arange(n))), shape=(self.count, n))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(u, m) of the values (n, m) of samples."""
        parts = [values[:, start : start + COLUMNS] for start in range(0, values.shape[1], COLUMNS)]
        return np.concatenate([self._members @ part.astype(np.float64) for part in parts], axis=1)


@dataclass(frozen=True)
class Sums:
    """A figure of the sums of its units."""

    of_units: np.ndarray  # (u, m)
    figure: Callable[[np.ndarray], np.ndarray]  # of sums (r, m): (r,), NaN where nothing defines it
    share: bool = False  # of samples that are right, of which each is right or wrong


def mean(values: np.ndarray, units: Units, share: bool = False) -> Sums:
    """The mean of values (n,)."""
    both = np.stack([values, np.ones(len(values))], axis=1)
    return Sums(units.sums(both), lambda sums: sums[:, 0] / sums[:, 1], share)


def macro_f1(predicted: np.ndarray, true: np.ndarray, units: Units) -> Sums:
    """The mean over classes of 2 * hits / (predictions + samples), of (n, k) that are 1 where a sample is of a class.

    As ftlab.tasks.macro has it: a class without samples and predictions is left out.
    """
    several = [units.sums(one) for one in (predicted & true, predicted, true)]

    def figure(sums: np.ndarray) -> np.ndarray:
        hits, predictions, samples = np.split(sums, 3, axis=1)
        return _mean_of(2 * hits, predictions + samples)

    return Sums(np.concatenate(several, axis=1), figure)


def mean_iou(hits: np.ndarray, chosen: np.ndarray, true: np.ndarray, units: Units) -> Sums:
    """The mean over classes of intersection over union, of pixels (n, k) that were rightly chosen, chosen, and true; a
    class that is neither chosen nor true is left out."""
    several = [units.sums(one) for one in (hits, chosen, true)]

    def figure(sums: np.ndarray) -> np.ndarray:
        shared, said, there = np.split(sums, 3, axis=1)
        return _mean_of(shared, said + there - shared)

    return Sums(np.concatenate(several, axis=1), figure)


def macro_auroc(scores: np.ndarray, true: np.ndarray, units: Units) -> Sums:
    """The mean over classes of the area under the ROC curve, of scores (n, k) and (n, k) that are 1 where it is true.

    The area is the mean over positives of the share of negatives below each, and that over negatives of the share of
    positives above. Resampled it is to first order the mean of both less itself: no resample need be sorted anew.
    Source: DeLong, DeLong and Clarke-Pearson 1988, "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves". A class that a resample lacks, or that is all of it, is left out.
    """
    with np.errstate(invalid="ignore"):
        placed = np.stack([_placed(one, of) for one, of in zip(scores.T, true.T, strict=True)], axis=1)
    sides = [np.where(true, placed, 0), true, np.where(true, 0, placed), ~true]
    area = _shares(np.where(true, placed, 0).sum(axis=0), true.sum(axis=0))

    def figure(sums: np.ndarray) -> np.ndarray:
        above, positives, below, negatives = np.split(sums, 4, axis=1)
        each = _shares(above, positives) + _shares(below, negatives) - area
        return _mean_of(each.clip(0, 1), np.isfinite(each))

    return Sums(np.concatenate([units.sums(one) for one in sides], axis=1), figure)


def _placed(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(n,) of each sample the share of the other side that it is on the right side of; a tie counts half."""
    found = np.zeros(len(scores))
    for side, sign in ((true, 1.0), (~true, -1.0)):
        others = np.sort(sign * scores[~side])
        ends = [np.searchsorted(others, sign * scores[side], end) for end in ("left", "right")]
        found[side] = _shares(ends[0] + ends[1], 2 * np.full(side.sum(), len(others)))
    return np.where(np.isnan(scores).any(), np.nan, found)


def r2(predicted: np.ndarray, true: np.ndarray, units: Units) -> Sums:
    """The mean over targets of R2, of standardised (n, k); undefined where one of them does not vary."""

    def figure(sums: np.ndarray) -> np.ndarray:
        squares, total, whole, count = np.split(sums, [k, 2 * k, 3 * k], axis=1)
        spread = whole - total**2 / count
        return np.where(spread < 1e-4, np.nan, 1 - _shares(squares, spread)).mean(axis=1)

    k = true.shape[1]
    several = [(predicted - true) ** 2, true, true**2, np.ones((len(true), 1))]
    return Sums(units.sums(np.concatenate(several, axis=1)), figure)


def rmse(predicted: np.ndarray, true: np.ndarray, units: Units) -> Sums:
    """The mean over targets of the root of the mean squared error, of (n, k)."""
    squares = np.concatenate([(predicted - true) ** 2, np.ones((len(true), 1))], axis=1)
    return Sums(units.sums(squares), lambda sums: np.sqrt(sums[:, :-1] / sums[:, -1:]).mean(axis=1))


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is nothing."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)


def _mean_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(r,) the mean over classes (r, k) of part / whole, of those that have a whole."""
    there = whole != 0
    return _shares(np.where(there, _shares(part, whole), 0).sum(axis=1), there.sum(axis=1))
