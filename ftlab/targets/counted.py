"""Samples of each class, and what a person should know of them.

Shapes: n samples, k classes.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ftlab.problems import Problem, problem

FEWEST = 3  # samples of a class from which a split by seed gives some to train, val and test each
NUMBER = re.compile(r"-?\d+(\.\d+)?")
FEW = 10  # samples of a class in val or test, with fewer of which its figures are told to be uncertain
IMBALANCE = 10  # the largest class over the smallest from which a person is warned


def in_order(label: str) -> tuple[float, str]:
    """A key to sort classes by: those that are numbers by their value (2 before 10), then all others by their name."""
    return (float(label), label) if NUMBER.fullmatch(label) else (math.inf, label)


def missing_classes(count: Mapping[str, Sequence[int]], classes: Sequence[str]) -> list[Problem]:
    """Classes of which a split has no sample; the mapping is the same for all splits."""
    found: list[Problem] = []
    for split, counts in count.items():
        names = [label for label, number in zip(classes, counts, strict=True) if not number]
        found += problem(f"classes have no sample in {split}", "warning", names)
    return found


def rare(count: Mapping[str, Sequence[int]], classes: Sequence[str]) -> list[Problem]:
    """Classes of which a split that judges has few samples: one more or less that is right moves their figures far."""
    judging = {split: counts for split, counts in count.items() if split != "train"}
    names = []
    for place, label in enumerate(classes):
        few = [f"{counts[place]} in {split}" for split, counts in judging.items() if 0 < counts[place] < FEW]
        names += [f"{label} ({', '.join(few)})"] if few else []
    where = " or ".join(judging)
    advice = f"figures of {'it' if len(names) == 1 else 'them'} say little"
    return problem(f"classes have fewer than {FEW} samples in {where}", "warning", names, advice)


def imbalance(counts: Sequence[int], classes: Sequence[str]) -> list[Problem]:
    """counts: training samples of each class."""
    present = [count for count in counts if count]
    largest, smallest = max(present, default=0), min(present, default=0)
    if largest <= IMBALANCE * smallest:
        return []
    places = [place for place, count in enumerate(counts) if count and largest > IMBALANCE * count]
    names = [f"{classes[place]} ({counts[place]})" for place in sorted(places, key=lambda place: counts[place])]
    most = f"{largest} of {classes[counts.index(largest)]}"
    advice = f"less than a tenth of the largest, {most}; see the task's class weights"
    return problem("classes are imbalanced", "warning", names, advice)


def known(classes: Sequence[str], others: Sequence[str]) -> list[int]:
    """Where each of `classes` is in `others`. Raises: ValueError naming those that are not."""
    unknown = [label for label in classes if label not in others]
    if unknown:
        raise ValueError(f"the classes {unknown[:5]} are not the bundle's; it knows {', '.join(others[:20])}")
    return [others.index(label) for label in classes]


def names_of(stored: object) -> tuple[str, ...]:
    """Raises: TypeError for what is no list of texts."""
    if not isinstance(stored, list | tuple) or not all(isinstance(name, str) for name in stored):
        raise TypeError(f"targets: expected a list of texts, not {stored!r}")
    return tuple(stored)


def counts_of(stored: object, classes: int) -> tuple[int, ...]:
    """Training samples of each class; of a bundle of an earlier version, which keeps none, one of each.

    Raises: TypeError, ValueError for what nothing can have stored.
    """
    if stored is None or stored == []:
        return (1,) * classes
    if not isinstance(stored, list | tuple) or not all(type(count) is int and count >= 0 for count in stored):
        raise TypeError(f"targets: expected a list of counts, not {stored!r}")
    if len(stored) != classes:
        raise ValueError(f"targets: {len(stored)} counts for {classes} classes")
    return tuple(stored)


def as_places(places: Sequence[int]) -> Tensor:
    return torch.tensor(places, dtype=torch.int64)
