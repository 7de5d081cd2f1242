"""Which of the boxes that are found are right, as COCO has it, and what follows for each score from which they count.

Shapes: n images, d boxes that are found in one, m true ones, f boxes that are found in all, k classes, t thresholds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from ftlab.targets.ragged import Parts

NONE, CROWD = -1, -2  # of a box that is found: it is no object, or one of many that nobody counts
OVERLAP = 0.5  # intersection over union from which two boxes are of one object
THRESHOLDS = np.linspace(0, 1, 101)


def overlaps(found: Parts, true: Parts) -> Tensor:
    """(d, m) intersection over union; of a crowd the share of the box that is found which lies in it."""
    iou = box_iou(found["boxes"], true["boxes"])
    corners = (
        torch.maximum(found["boxes"][:, None, :2], true["boxes"][:, :2]),
        torch.minimum(found["boxes"][:, None, 2:], true["boxes"][:, 2:]),
    )
    own = (found["boxes"][:, 2:] - found["boxes"][:, :2]).prod(1)
    inside = (corners[1] - corners[0]).clamp(min=0).prod(-1) / own.clamp(min=1e-9)[:, None]
    return torch.where(true["crowd"], inside, iou)


def matched(found: Parts, true: Parts, by_class: bool = True) -> np.ndarray:
    """(d,) the true box of each box that is found, NONE or CROWD: the surest first takes the one that it overlaps most
    of those that are left. by_class: only of its own class.

    Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", as its evaluation does it.
    """
    shared = overlaps(found, true)
    if by_class:
        shared = torch.where(found["labels"][:, None] == true["labels"], shared, 0.0)
    table, crowd = shared.numpy(), true["crowd"].numpy()
    answer = np.full(len(table), NONE)
    if not table.size:
        return answer
    free = ~crowd
    for place in found["scores"].argsort(descending=True, stable=True).tolist():
        if table[place].max() < OVERLAP:
            continue
        row = np.where(free, table[place], 0.0)
        if row.max() >= OVERLAP:
            answer[place] = row.argmax()
            free[answer[place]] = False
        elif table[place][crowd].max(initial=0.0) >= OVERLAP:
            answer[place] = CROWD
    return answer


def mean_iou(found: Sequence[Parts], true: Sequence[Parts]) -> float:
    """Of the boxes that are found and the true ones that they are of; -1 where there is no such pair."""
    several = []
    for one, other in zip(found, true, strict=True):
        if len(one["scores"]) and len(other["labels"]):
            answer = matched(one, other)
            hits = np.flatnonzero(answer >= 0)
            several.append(overlaps(one, other).numpy()[hits, answer[hits]])
    both = np.concatenate(several) if several else np.zeros(0)
    return float(both.mean()) if len(both) else -1.0


class Judged(NamedTuple):
    """All boxes of a split that are found, beside those of crowds, and all true ones."""

    scores: np.ndarray  # (f,)
    labels: np.ndarray  # (f,)
    hits: np.ndarray  # (f,) bool
    true: np.ndarray  # (k,) how many true boxes each class has
    reached: np.ndarray  # of each true box the score of the one that found it, -1 of one that none found
    areas: np.ndarray  # of each true box in square pixels


def judged(found: Sequence[Parts], true: Sequence[Parts], classes: int) -> Judged:
    scores, labels, hits, reached, areas = [], [], [], [], []
    counts = np.zeros(classes, dtype=int)
    for one, other in zip(found, true, strict=True):
        answer, single = matched(one, other), ~other["crowd"].numpy()
        best = np.full(len(single), -1.0)
        best[answer[answer >= 0]] = one["scores"].numpy()[answer >= 0]
        kept = answer != CROWD
        scores.append(one["scores"].numpy()[kept])
        labels.append(one["labels"].numpy()[kept])
        hits.append((answer >= 0)[kept])
        reached.append(best[single])
        areas.append((other["boxes"][:, 2:] - other["boxes"][:, :2]).prod(1).numpy()[single])
        counts += np.bincount(other["labels"].numpy()[single], minlength=classes)
    parts = [np.concatenate(each) if each else np.zeros(0) for each in (scores, labels, hits, reached, areas)]
    return Judged(parts[0], parts[1].astype(int), parts[2].astype(bool), counts, parts[3], parts[4])


def counts_at(all_: Judged, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(k,) how many boxes of each class are found with that score or a higher one, and how many of them are right."""
    sure = all_.scores >= threshold
    return tuple(  # type: ignore[return-value]  # of two
        np.bincount(all_.labels[which], minlength=len(all_.true)) for which in (sure, sure & all_.hits)
    )


def f1_at(all_: Judged, threshold: float) -> float:
    """The mean F1 of the classes that have true boxes."""
    said, right = counts_at(all_, threshold)
    there = all_.true > 0
    return float((2 * right[there] / (said + all_.true)[there]).mean()) if there.any() else 0.0


def best_threshold(all_: Judged) -> float | None:
    """The score with the best `f1_at`, in hundredths, the middle one of several; None where nothing right is found.

    Source: Lipton, Elkan and Naryanaswamy 2014, "Optimal Thresholding of Classifiers to Maximize F1 Measure".
    """
    values = np.array([f1_at(all_, threshold) for threshold in THRESHOLDS])
    if not values.max():
        return None
    best = np.flatnonzero(values == values.max())
    return float(THRESHOLDS[best[len(best) // 2]])


def curve(all_: Judged, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) of a class as its threshold falls from one score to the next."""
    own = all_.labels == k
    order = np.argsort(-all_.scores[own], kind="stable")
    right = np.cumsum(all_.hits[own][order])
    return right / max(1, all_.true[k]), right / np.arange(1, len(order) + 1)


def interpolated(recall: np.ndarray, precision: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The best precision at each recall of `at` or a higher one, 0 beyond the last."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, at, side="left")
    return np.where(places < len(best), best[np.minimum(places, len(best) - 1)], 0.0) if len(best) else 0.0 * at


def confusion(found: Sequence[Parts], true: Sequence[Parts], classes: int, threshold: float) -> np.ndarray:
    """(k + 1, k + 1) counts, rows the truth and columns the prediction, the last of each the background.

    What is left once boxes are matched to their own class is matched to any: objects that are taken for another.
    """
    table = np.zeros((classes + 1, classes + 1), dtype=int)
    for one, other in zip(found, true, strict=True):
        sure = one["scores"] >= threshold
        one = {name: part[sure] for name, part in one.items()}
        answer = matched(one, other)
        left = answer == NONE
        open_ = np.isin(np.arange(len(other["labels"])), answer, invert=True) & ~other["crowd"].numpy()
        rest = matched({n: p[left] for n, p in one.items()}, {n: p[open_] for n, p in other.items()}, by_class=False)
        answer[left] = np.where(rest >= 0, np.flatnonzero(open_)[rest] if open_.any() else NONE, NONE)
        said, labels = one["labels"].numpy(), other["labels"].numpy()
        pairs = [
            (labels[place] if place >= 0 else classes, k)
            for place, k in zip(answer, said, strict=True)
            if place != CROWD
        ]
        missed = np.isin(np.arange(len(labels)), answer, invert=True) & ~other["crowd"].numpy()
        for row, column in [*pairs, *((k, classes) for k in labels[missed])]:
            table[row, column] += 1
    return table
