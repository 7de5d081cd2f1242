"""The user's own torch data sets of (image, label) pairs as splits.

Shapes: n samples, k classes, c channels, h height, w width.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Subset

from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.inputs.images.files import pixels
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.targets.numbers import Numbers


class Pairs(Protocol):
    """A map-style data set: dataset[i] is (image, label)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def from_datasets(
    train: Pairs,
    val: Pairs | None = None,
    test: Pairs | None = None,
    classes: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
) -> Splits:
    """Splits of map-style data sets whose items are (image, label), or (image, numbers) under the names `targets`.

    image: Pillow, uint8 (c, h, w) tensor, float (c, h, w) tensor of 0 to 1, or uint8 (h, w) or (h, w, 3) array; not
    normalised, since that is the network's preprocessing. label: a whole number from 0, or a vector of k labels.
    numbers: one, or a vector of as many as there are targets (use task=regression).
    classes: names; else the train set's own `classes`, else the numbers. Labels are taken from `.targets` or `.labels`
    where the data set has them, else each item is read once.
    Raises: UserError, naming the split and the item.
    """
    if targets is not None and classes is not None:
        raise UserError(
            "from_datasets: classes and targets are given; an item has a label or numbers, give one of them"
        )
    names = None if targets is None else tuple(map(str, targets))
    given = {"train": train, "val": val, "test": test}
    parts = {split: _samples(split, part, names) for split, part in given.items() if part is not None}
    both = parts["train"], parts.get("val"), parts.get("test")
    if names is not None:
        return Splits(*both, Numbers(names))
    known = classes if classes is not None else getattr(train, "classes", None)
    first = parts["train"].targets
    named = tuple(map(str, known)) if known is not None else _numbers(first)
    return Splits(*both, Labels(named) if first.ndim == 2 else Classes(named))


def _numbers(targets: Tensor) -> tuple[str, ...]:
    count = targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1 if len(targets) else 0
    return tuple(str(label) for label in range(count))


class DatasetImages:
    """The images of a data set of pairs, read on access."""

    def __init__(self, dataset: Pairs) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Image.Image | Tensor:
        return pixels(self.dataset[index][0])


def _samples(split: str, dataset: Pairs, targets: Sequence[str] | None) -> Samples:
    names = [f"{split}/{index}" for index in range(len(dataset))]
    labels = _labels(dataset)
    found = _targets(split, labels) if targets is None else _values(split, labels, targets)
    return Samples(DatasetImages(dataset), found, names)


def _labels(dataset: Any) -> Iterable[Any]:
    if isinstance(dataset, Subset):
        labels = _stored_labels(dataset.dataset)
        if labels is not None:
            return [labels[index] for index in dataset.indices]
    labels = _stored_labels(dataset)
    return labels if labels is not None else [dataset[index][1] for index in range(len(dataset))]


def _stored_labels(dataset: Any) -> Any:
    """`.targets` or `.labels`, as torchvision's sets name them; not where a transform changes them on access."""
    joint = getattr(dataset, "transforms", None)  # of image and label; StandardTransform keeps the two apart
    if getattr(dataset, "target_transform", None) or (joint and not hasattr(joint, "target_transform")):
        return None
    for name in ("targets", "labels", "_labels"):
        labels = getattr(dataset, name, None)
        if labels is not None and len(labels) == len(dataset):
            return labels
    return None


def _targets(split: str, labels: Iterable[Any]) -> Tensor:
    """(n,) int64 or (n, k) float32."""
    try:
        targets = torch.as_tensor(np.array([np.asarray(label) for label in labels]))
    except (TypeError, ValueError) as error:
        raise UserError(f"labels of {split} are not whole numbers or vectors of one length ({error}).") from error
    if targets.ndim == 2:
        return targets.float()
    if targets.ndim != 1 or (len(targets) and targets.is_floating_point()):
        raise UserError(
            f"labels of {split} are {targets.dtype} of shape {tuple(targets.shape)}; accepted: int or (k,)."
        )
    return targets.long()


def _values(split: str, labels: Iterable[Any], targets: Sequence[str]) -> Tensor:
    """(n, k) float32, a column for each of the targets."""
    try:
        found = torch.as_tensor(np.array([np.asarray(label, dtype=np.float64).reshape(-1) for label in labels]))
    except (TypeError, ValueError) as error:
        raise UserError(f"the numbers of {split} are no numbers, or not as many in each item ({error}).") from error
    if found.ndim != 2 or found.shape[1] != len(targets):
        wanted = f"{len(targets)} ({', '.join(targets)})"
        raise UserError(f"the items of {split} have numbers of shape {tuple(found.shape[1:])}; targets names {wanted}.")
    return found.float()
