"""Figures of a confusion matrix: rows are the truth, columns the prediction (k classes, k x k counts)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ftlab.tasks.counts import quality

Matrix = Sequence[Sequence[int]]


class ClassFigures(NamedTuple):
    """Quality of one class; None where nothing defines it, see ftlab.tasks.counts."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int  # samples that truly are of this class


class Confusion(NamedTuple):
    """One kind of mistake."""

    truth: str
    prediction: str
    samples: int
    share: float  # of the samples of the true class


def per_class(matrix: Matrix, classes: Sequence[str]) -> list[ClassFigures]:
    """Precision, recall and F1 of every class, in the order of the classes."""
    predicted = [sum(column) for column in zip(*matrix, strict=True)]
    return [_figures(name, matrix[k][k], predicted[k], sum(matrix[k])) for k, name in _named(matrix, classes)]


def from_labels(labels: Sequence[dict[str, Any]]) -> list[ClassFigures]:
    """The same figures where a multilabel task has counted them itself."""
    return [ClassFigures(**{field: label[field] for field in ClassFigures._fields}) for label in labels]


def worst_pairs(matrix: Matrix, classes: Sequence[str], limit: int = 15) -> list[Confusion]:
    """The most frequent mistakes; among equally frequent ones the larger share of its class first."""
    pairs = [
        Confusion(truth, prediction, matrix[t][p], matrix[t][p] / sum(matrix[t]))
        for t, truth in _named(matrix, classes)
        for p, prediction in enumerate(classes)
        if t != p and matrix[t][p]
    ]
    return sorted(pairs, key=lambda pair: (-pair.samples, -pair.share))[:limit]


def _figures(label: str, hits: int, predicted: int, support: int) -> ClassFigures:
    return ClassFigures(label, *quality(hits, predicted, support), support)


def _named(matrix: Matrix, classes: Sequence[str]) -> list[tuple[int, str]]:
    if len(matrix) != len(classes):
        raise ValueError(f"confusion matrix of {len(matrix)} rows for {len(classes)} classes")
    return list(enumerate(classes))
