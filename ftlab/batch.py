"""What one step sees: a batch of inputs with their targets.

Shapes: b batch, c channels, h height, w width, t steps, k classes or named numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map  # by its only name; torchvision's transforms stand on it too

# What one raw input, or a stack of them, puts into a Batch, by the name of the field. Of the kinds that are shipped:
# images (b, c, h, w) float32, normalised
# vectors and ranks (b, d) float32, and categories (b, m) int64, of m columns, each with its own numbering
# tokens (b, t) int64, series (b, t, c) float32 and mask (b, t) bool, False where a step only fills the batch
Fields = dict[str, Tensor]


class Movable(Protocol):
    """Values of several samples that are no tensor (b, ...), such as boxes, of which each has its own number."""

    def each(self, move: Callable[[Tensor], Tensor], /) -> Self:
        """The same with `move` done to every tensor."""

    def select(self, places: Tensor, /) -> Self:
        """Of the samples at these places only, in this order."""


@dataclass
class Batch:
    """What one step sees; the samples lie in the same order everywhere."""

    # (b,) int64 classes, (b, k) float32 labels, mixed classes or numbers; tuples, mappings, a list of b, a Movable;
    # None where there are none.
    targets: Any
    index: Tensor  # (b,) int64, place of each sample in its split; it also tells the device of the whole
    inputs: Fields = field(default_factory=dict)  # each (b, ...); none at the freeze border
    border: tuple[Tensor, ...] | None = None  # values at the freeze border (b, ...), in place of the inputs
    frame: Any = None  # a frames.Where, from the raw inputs to `inputs`; only where the kind of target `follows`

    def __len__(self) -> int:
        return len(self.index)

    def each(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with `move` done to every tensor."""
        return Batch(*mapped(self._parts(), move))

    def select(self, places: Tensor) -> "Batch":
        """The samples at `places` only, in this order; a place may come several times."""
        return Batch(*_picked(self._parts(), places))

    def _parts(self) -> tuple[Any, ...]:
        return self.targets, self.index, self.inputs, self.border, self.frame

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; a DataLoader pins only what it knows or what has this method."""
        return self.each(Tensor.pin_memory)


def mapped(structure: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """Tuples, lists and mappings with `move` done to every tensor, those of a Movable too; what else is there stays."""

    def moved(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return move(leaf)
        return leaf.each(move) if hasattr(leaf, "each") else leaf

    return tree_map(moved, structure)


def of_one(structure: Any, place: int) -> Any:
    """The part of one sample: (...) of tensors (b, ...), its element of a list, and a Movable of it alone."""
    return _picked(structure, place)


def _picked(structure: Any, places: Tensor | int) -> Any:
    """Tuples and mappings hold what is of all samples, a list one element a sample; what else is there stays."""

    def picked(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf[places]
        if isinstance(leaf, list):
            return leaf[places] if isinstance(places, int) else [leaf[place] for place in places.tolist()]
        if hasattr(leaf, "select"):
            return leaf.select(torch.tensor([places]) if isinstance(places, int) else places)
        return leaf

    return tree_map(picked, structure, is_leaf=lambda part: isinstance(part, list))


def leaves(structure: Any) -> tuple[list[Any], Any]:
    """What lies at the ends of tuples, lists and mappings, in order, and their form, equal where all keys are."""
    return tree_flatten(structure)
