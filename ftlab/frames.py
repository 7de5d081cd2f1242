"""Where the places of raw inputs lie in the network's, so that targets can follow and predictions come back.

`Where` is what all kinds of inputs have of that, `Frame` that of images.

Shapes: b batch, n points. A place is (x, y) in pixels, x to the right, y downwards; the first pixel reaches from 0 to 1
and has its middle at 0.5.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

Size = tuple[int, int]  # height, width in pixels


class Window(NamedTuple):
    """A rectangle of a raw input, in whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def frame(self, raw: Size) -> "Frame":
        """Where what is cut out brings the places of the raw input."""
        rows = (1.0, 0.0, float(-self.left)), (0.0, 1.0, float(-self.top))
        return Frame.of(rows, raw, (self.height, self.width))


class Where(ABC):
    """Of one sample, or with a leading dimension b of a batch. No dataclass: Lightning takes those apart."""

    ragged: ClassVar[bool] = False  # whether `packed` has a row for each position of a sample, as its values have

    @classmethod
    @abstractmethod
    def stacked(cls, several: Sequence[Any]) -> Self:
        """Those of single samples as that of a batch."""

    @abstractmethod
    def packed(self) -> Tensor:
        """All of a batch as whole numbers (b, ...), which a cache keeps as they are."""

    @classmethod
    @abstractmethod
    def unpacked(cls, packed: Tensor) -> Self:
        """What `packed` gave."""

    @abstractmethod
    def each(self, move: Callable[[Tensor], Tensor]) -> "Where":
        """With `move` done to every tensor, but for another type of numbers: 16 bits cannot hold places."""

    @abstractmethod
    def of_one(self, place: int) -> "Where":
        """Of one sample of the batch."""

    @abstractmethod
    def select(self, places: Tensor) -> "Where":
        """Of the samples at `places` (m,) of the batch."""


class Frame(Where):
    """An affine map of places, and the sizes of both sides."""

    def __init__(self, matrix: Tensor, raw: Tensor, size: Tensor) -> None:
        self.matrix = matrix  # (..., 2, 3) float32: (x, y, 1) of the raw input to (x, y) of the network's
        self.raw = raw  # (..., 2) int64: height, width of the raw input
        self.size = size  # (..., 2) int64: height, width of the network's input

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]], raw: Size, size: Size) -> Self:
        """By the two rows of the matrix."""
        return cls(torch.tensor(rows, dtype=torch.float32), torch.tensor(raw), torch.tensor(size))

    @classmethod
    def stacked(cls, several: Sequence["Frame"]) -> Self:
        """Those of single samples as that of a batch."""
        return cls(*(torch.stack([getattr(one, name) for one in several]) for name in ("matrix", "raw", "size")))

    def apply(self, places: Tensor) -> Tensor:
        """Places (..., n, 2) of raw inputs to those of the network's."""
        return places.to(self.matrix.dtype) @ self.matrix[..., :2].mT + self.matrix[..., None, :, 2]

    def then(self, later: "Frame") -> "Frame":
        """First this one, then `later`, whose raw input is what this one makes."""
        shift = later.apply(self.matrix[..., None, :, 2]).mT
        return Frame(torch.cat([later.matrix[..., :2] @ self.matrix[..., :2], shift], -1), self.raw, later.size)

    def inverse(self) -> "Frame":
        """The way back: from the network's input to the raw one."""
        back = torch.linalg.inv(self.matrix[..., :2])
        return Frame(torch.cat([back, -back @ self.matrix[..., 2:]], -1), self.size, self.raw)

    def packed(self) -> Tensor:
        """All of a batch as (b, 10) int32, bit by bit: what keeps numbers coarser leaves whole ones alone."""
        sizes = torch.cat([self.raw, self.size], -1).to(torch.int32)
        return torch.cat([self.matrix.flatten(-2).contiguous().view(torch.int32), sizes], -1)

    @classmethod
    def unpacked(cls, packed: Tensor) -> Self:
        """What `packed` gave."""
        matrix = packed[..., :6].contiguous().view(torch.float32).unflatten(-1, (2, 3))
        return cls(matrix, packed[..., 6:8].long(), packed[..., 8:].long())

    def each(self, move: Callable[[Tensor], Tensor]) -> "Frame":
        """With `move` done to every tensor, but for another type of numbers: 16 bits cannot hold places."""
        moved = move(self.matrix)
        kept = moved if moved.dtype == self.matrix.dtype else self.matrix.to(moved.device)
        return Frame(kept, move(self.raw), move(self.size))

    def of_one(self, place: int) -> "Frame":
        """Of one sample of the batch."""
        return Frame(self.matrix[place], self.raw[place], self.size[place])

    def select(self, places: Tensor) -> "Frame":
        """Of the samples at `places` (m,) of the batch."""
        return Frame(self.matrix[places], self.raw[places], self.size[places])
