"""Samples of val and test that train has too, whole or in part: of rows and sequences, whose inputs are in memory."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ftlab.data.base import Splits
from ftlab.inputs import kinds
from ftlab.problems import Problem, problem

IN_TRAIN = "are in train too"


def repeated(splits: Splits) -> list[Problem]:
    """Samples of val and test that train has too, input and target, of the kinds that say so.

    Where hardly any different inputs are possible, all splits hold the same ones, and nothing is told.
    """
    kind = kinds.known().get(splits.kind)  # None: of a data set of Python's, which may call its inputs anything
    if kind is None:
        return []
    parts = splits.parts()
    keys = {split: kind.equals(samples.inputs) for split, samples in parts.items()}
    train = keys.pop("train")
    if train is None or _few(train):
        return []
    there = set(zip(train, splits.target.written(parts["train"].targets), strict=True))
    found: list[Problem] = []
    for split, several in keys.items():
        written = splits.target.written(parts[split].targets)
        places = [place for place, pair in enumerate(zip(several or (), written, strict=True)) if pair in there]
        names = [parts[split].name(place) for place in places]
        advice = "they and their targets are equal; remove one of each"
        found += problem(f"{kind.plural} of {split} {IN_TRAIN}", "warning", names, advice)
    return found


def overlapping(splits: Splits) -> list[Problem]:
    """Samples of val and test that have a piece in common with one of train, of the kinds that have pieces.

    Of sequences that a seed has dealt out these are parts that were cut from one series, each overlapping the next.
    """
    kind = kinds.known().get(splits.kind)
    pieces = None if kind is None else kind.pieces(splits.inputs())
    if pieces is None or kind is None:
        return []
    known = np.unique(np.concatenate(pieces["train"]))
    found: list[Problem] = []
    for split in pieces.keys() - {"train"}:
        owners = np.repeat(np.arange(len(pieces[split])), [len(own) for own in pieces[split]])
        shared = np.unique(owners[np.isin(np.concatenate(pieces[split]), known)]).tolist()
        names = [splits.parts()[split].name(place) for place in shared]
        advice = "figures are too good; data.group_column or a column of splits keeps what belongs together in one"
        found += problem(f"{kind.plural} of {split} hold runs of steps that {IN_TRAIN}", "warning", names, advice)
    return sorted(found, key=lambda one: one.kind, reverse=True)


def _few(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether no more different rows are possible than there are, so that equal ones say nothing."""
    return prod(len(set(cells)) for cells in zip(*rows, strict=True)) <= len(rows)


def repeated_again(splits: Splits) -> tuple[Problem, ...]:
    """The problems of splits whose samples have been dealt anew."""
    others = tuple(found for found in splits.problems if not found.kind.endswith(IN_TRAIN))
    return (*others, *repeated(splits), *overlapping(splits))
