"""Masks that are drawn of outlines on access: polygons, and run lengths.

Shapes: h height, w width, p points of a polygon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ftlab.data.sources.run_lengths import mask_of
from ftlab.errors import UserError
from ftlab.frames import Size
from ftlab.targets.mask_rows import MANY, MaskRows, digest
from ftlab.targets.masks import renumber


@dataclass(frozen=True)
class Drawing:
    """What a mask is drawn of, upon 0."""

    size: Size  # of the image
    parts: tuple[tuple[int, Any, str], ...]  # number of the class, COCO's segmentation, and its place in a file

    @cached_property
    def seen(self) -> tuple[dict[int, int], str]:
        """Pixels of each class that is there, and MaskRows.digest: drawn once for all that is asked of a mask."""
        mask = drawn(self)
        return dict(zip(*(part.tolist() for part in mask.unique(return_counts=True)), strict=True)), digest(mask)


class OutlineMasks(MaskRows):
    """The smaller of two outlines lies upon the larger one."""

    def __init__(self, drawings: Sequence[Drawing], numbers: tuple[Tensor, int] | None = None) -> None:
        self.drawings = list(drawings)
        self.numbers = numbers  # of the classes among others, and how many there are of these

    def __len__(self) -> int:
        return len(self.drawings)

    def __getitem__(self, place: int) -> Tensor:
        mask = drawn(self.drawings[place])
        return mask if self.numbers is None else renumber(mask, *self.numbers)

    def tally(self, classes: int) -> Tensor:
        found = torch.zeros(len(self), classes + 1, dtype=torch.int64)
        for row, drawing in enumerate(self.drawings):
            for number, pixels in drawing.seen[0].items():
                now = number if self.numbers is None else int(self.numbers[0][number])
                found[row, min(now, classes)] += pixels
        return found

    def digest(self, place: int) -> str:
        return self.drawings[place].seen[1] if self.numbers is None else super().digest(place)

    def select(self, places: Tensor) -> "OutlineMasks":
        return OutlineMasks([self.drawings[place] for place in places.tolist()], self.numbers)

    def with_more(self, others: Sequence[MaskRows]) -> "OutlineMasks":
        several = [rows.drawings for rows in (self, *others) if isinstance(rows, OutlineMasks)]
        return OutlineMasks([one for drawings in several for one in drawings], self.numbers)

    def renumbered(self, places: Tensor, classes: int) -> "OutlineMasks":
        before = places if self.numbers is None else places[self.numbers[0]]
        return OutlineMasks(self.drawings, (before, classes))


def drawn(drawing: Drawing) -> Tensor:
    """(h, w) uint8, or int64 where a class has a number that needs more.

    Raises: UserError for a part that is no outline, or of another size.
    """
    pieces = [(number, shape(outline, drawing.size, place)) for number, outline, place in drawing.parts]
    most = max((number for number, _, _ in drawing.parts), default=0)
    mask = np.zeros(drawing.size, np.uint8 if most < MANY else np.int64)
    for number, inside in sorted(pieces, key=lambda piece: -int(piece[1].sum())):
        mask[inside] = number
    return torch.from_numpy(mask)


def shape(outline: Any, size: Size, place: str) -> np.ndarray:
    """(h, w) bool of COCO's segmentation."""
    if isinstance(outline, list):
        parts = [polygon(np.array(part, float).reshape(-1, 2), size) for part in outline]
        return np.logical_or.reduce(parts) if parts else np.zeros(size, bool)
    found = mask_of(outline)
    if found.shape != tuple(size):
        raise UserError(
            f"{place}: its mask has {found.shape[1]} x {found.shape[0]} pixels, the image {size[1]} x {size[0]}"
        )
    return found


def polygon(points: np.ndarray, size: Size) -> np.ndarray:
    """(h, w) bool: whose middle lies inside of points (p, 2), x and y, by the even-odd rule."""
    height, width = size
    (x, y), (x2, y2) = points.T, np.roll(points, -1, axis=0).T
    rows = np.arange(height)[:, None] + 0.5
    edge = (y <= rows) != (y2 <= rows)
    at, of = np.nonzero(edge)
    cross = x[of] + (at + 0.5 - y[of]) * (x2[of] - x[of]) / (y2[of] - y[of])
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (at, np.ceil(cross - 0.5).clip(0, width).astype(int)), 1)
    return turns.cumsum(axis=1)[:, :width] % 2 == 1
