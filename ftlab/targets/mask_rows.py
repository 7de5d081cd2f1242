"""The masks of a split, and what is counted of one.

Shapes: n samples, k classes, h and w height and width of one mask.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

MANY = 255  # classes that one byte tells apart, beside what counts for nothing


def ignored(classes: int) -> int:
    """The number of pixels that count for nothing, in masks of so many classes."""
    return 255 if classes <= MANY else -1


class MaskRows(ABC):
    """The masks of a split, loaded on access: (h, w) uint8, or int64 of more than MANY classes."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, place: int) -> Tensor: ...

    @abstractmethod
    def select(self, places: Tensor) -> "MaskRows":
        """Of the samples at `places` (m,) int64, in that order."""

    @abstractmethod
    def with_more(self, others: "Sequence[MaskRows]") -> "MaskRows":
        """These, and after them those of others of the same class."""

    @abstractmethod
    def renumbered(self, places: Tensor, classes: int) -> "MaskRows":
        """places (k,): the number that each class has among `classes`. Raises: UserError for what is no class."""

    def tally(self, classes: int) -> Tensor:
        """(n, k + 1) pixels of each class, and of what is neither a class nor ignored."""
        if not len(self):
            return torch.zeros(0, classes + 1, dtype=torch.int64)
        return torch.stack([tally(self[place], classes) for place in range(len(self))])

    def digest(self, place: int) -> str:
        """Equal for masks whose classes lie alike, whatever numbers they have."""
        return digest(self[place])


def tally(mask: Tensor, classes: int) -> Tensor:
    """(k + 1,) as MaskRows.tally has it."""
    values = mask.flatten().long()
    good = (values >= 0) & (values < classes)
    pixels = torch.bincount(values[good], minlength=classes)
    strange = len(values) - pixels.sum() - (values == ignored(classes)).sum()
    return torch.cat([pixels, strange[None]])


def digest(mask: Tensor) -> str:
    """As MaskRows.digest has it: each number as its rank among those that are there."""
    ranks = mask.unique(return_inverse=True)[1]
    return f"{tuple(mask.shape)} {blake2b(ranks.numpy().tobytes(), digest_size=16).hexdigest()}"
