"""What is wrong with targets and classes, decided from the targets alone.

Shapes: n samples, k classes.
"""

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from ftlab.data.base import Splits
from ftlab.problems import Fault, Problem, problem

IMBALANCE = 10  # the largest class over the smallest from which a person is warned
NUMBERS = 0.9  # the share of whole numbers from which a column of labels is one of numbers
WHOLE = re.compile(r"\d+")
MISSING = frozenset(("nan", "null", "nat", "<na>", "#n/a"))  # how spreadsheets and pandas write "no value"
ODD = frozenset(("none", "na", "n/a", "unknown", "-", "?"))  # may be a class, may be a missing value


def odd_label(label: str, numeric: bool) -> str | None:
    """Why a label of a text file cannot be meant; None where it can. `numeric`: the column holds whole numbers."""
    if label.lower() in MISSING:
        return f"the label '{label}' stands for a missing value"
    if numeric and not WHOLE.fullmatch(label):
        return f"the label '{label}' is in a column of whole numbers from 0"
    return None


def numeric(labels: Sequence[str]) -> bool:
    """Whether a column is meant to hold whole numbers: nearly all of its labels are."""
    given = [label for label in labels if label.lower() not in MISSING]
    return bool(given) and sum(WHOLE.fullmatch(label) is not None for label in given) >= NUMBERS * len(given)


def like_missing(labels: Sequence[str]) -> list[Problem]:
    """Classes whose name may stand for "no value"."""
    counts = Counter(label for label in labels if label.lower() in ODD)
    names = [f"'{label}' ({count} samples)" for label, count in counts.items()]
    return problem("classes are called like a missing value", "warning", names, "remove these rows if they are none")


def faults(splits: Splits, split: str) -> dict[int, Fault]:
    """Samples of a split whose target is no class, no label vector or no numbers, by index."""
    samples = splits.parts()[split]
    targets, k = samples.targets, len(splits.targets or splits.classes)
    if targets.ndim == 2 and targets.shape[1] != k:
        return {}  # wrong as a whole, which reading refuses
    if splits.targets:
        accepted, wrong = "finite numbers", torch.where(~targets.isfinite().all(dim=1))[0]
    else:
        accepted = f"0 to {k - 1}" if targets.ndim == 1 else "values from 0 to 1"
        wrong = wrong_targets(targets, k)
    return {
        index: Fault(
            samples.name(index),
            "targets are out of range",
            f"{samples.name(index)} has the target {targets[index].tolist()}; accepted: {accepted}.",
            split,
        )
        for index in wrong.tolist()
    }


def missing_classes(splits: Splits) -> list[Problem]:
    """Classes of which a split has no sample; the mapping is the same for all splits."""
    found: list[Problem] = []
    for split, samples in splits.parts().items():
        counts = class_counts(samples.targets, len(splits.classes))
        names = [label for label, count in zip(splits.classes, counts, strict=True) if not count]
        found += problem(f"classes have no sample in {split}", "warning", names)
    return found


def imbalance(counts: Sequence[int], classes: Sequence[str]) -> list[Problem]:
    """counts: training samples of each class."""
    present = [count for count in counts if count]
    largest, smallest = max(present, default=0), min(present, default=0)
    if largest <= IMBALANCE * smallest:
        return []
    places = [place for place, count in enumerate(counts) if count and largest > IMBALANCE * count]
    names = [f"{classes[place]} ({counts[place]})" for place in sorted(places, key=lambda place: counts[place])]
    most = f"{largest} of {classes[counts.index(largest)]}"
    advice = f"they are less than a tenth of the largest, {most}; see the task's class weights"
    return problem("classes are imbalanced", "warning", names, advice)


def small(size: int, batch_size: int | str) -> list[Problem]:
    """A train split that does not fill one batch: an epoch is one step. `auto` never exceeds the split."""
    if isinstance(batch_size, str) or size >= batch_size:
        return []
    advice = f"that is less than one batch of {batch_size}, so an epoch is one step; lower data.batch_size"
    return [Problem("training samples in all", "warning", size, (), advice)]


def of_classes(splits: Splits) -> list[Problem]:
    """What a person should know of the classes of all splits; nothing where the targets are numbers."""
    if splits.targets:
        return []
    counts = class_counts(splits.train.targets, len(splits.classes))
    return [*missing_classes(splits), *imbalance(counts, splits.classes)]


def wrong_targets(targets: Tensor, classes: int) -> Tensor:
    """Indices of samples whose target is no class (n,) or no label vector (n, k) of values from 0 to 1."""
    if targets.ndim == 1:
        return torch.where((targets < 0) | (targets >= classes))[0]
    return torch.where(~((targets >= 0) & (targets <= 1)).all(dim=1))[0]  # NaN is neither


def class_counts(targets: Tensor, classes: int) -> tuple[int, ...]:
    """Samples of each class; of multilabel targets those that have the label. Targets out of range count nowhere."""
    if targets.ndim == 2:
        return tuple((targets > 0.5).sum(dim=0).tolist())
    good = targets[(targets >= 0) & (targets < classes)]
    return tuple(torch.bincount(good, minlength=classes).tolist())
