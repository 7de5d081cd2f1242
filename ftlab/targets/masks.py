"""A class for each pixel of an image.

Shapes: n samples, b batch, k classes, h and w height and width of one mask. Each mask has the size of its image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Window
from ftlab.problems import Problem, problem
from ftlab.targets.base import Target, Tiles
from ftlab.targets.counted import as_places, counts_of, known, missing_classes, names_of, rare
from ftlab.targets.mask_rows import MANY, MaskRows, ignored, tally
from ftlab.targets.mask_tiles import TileMasks

SHOWN = 4  # classes of a mask that are named


class ArrayMasks(MaskRows):
    """Masks in memory: integers (n, h, w), or n arrays or tensors (h, w), each of its own size."""

    def __init__(self, masks: Any) -> None:
        """Raises: UserError for what is no mask."""
        self.masks = masks if isinstance(masks, Tensor) else [as_mask(one) for one in masks]
        if isinstance(masks, Tensor) and masks.ndim != 3:
            raise UserError(f"masks have the shape {tuple(masks.shape)}; accepted: (n, h, w)")

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, place: int) -> Tensor:
        return as_mask(self.masks[place])

    def select(self, places: Tensor) -> "ArrayMasks":
        if isinstance(self.masks, Tensor):
            return ArrayMasks(self.masks[places])
        return ArrayMasks([self.masks[place] for place in places.tolist()])

    def with_more(self, others: Sequence[MaskRows]) -> "ArrayMasks":
        return ArrayMasks([rows[place] for rows in (self, *others) for place in range(len(rows))])

    def renumbered(self, places: Tensor, classes: int) -> "ArrayMasks":
        return ArrayMasks([renumber(self[place], places, classes) for place in range(len(self))])


@dataclass(frozen=True)
class Masks(Target):
    """Columns are MaskRows; one sample is a mask (h, w), with the number of its class at each pixel, or `ignore`."""

    kind: ClassVar[str] = "masks"
    plural: ClassVar[str] = "masks"
    task: ClassVar[str] = "segmentation"
    given: ClassVar[str] = "give masks by data=mask_folder"
    follows: ClassVar[bool] = True
    mosaics: ClassVar[bool] = True

    classes: tuple[str, ...]
    counts: tuple[int, ...] = ()  # training pixels of each class

    @property
    def ignore(self) -> int:
        """The number of pixels that count for nothing."""
        return ignored(len(self.classes))

    # --- the targets of a split

    def misshapen(self, column: MaskRows) -> str | None:
        return None if len(self.classes) > 1 else f"{len(self.classes)} class; at least 2 are needed to tell apart."

    def faults(self, column: MaskRows) -> dict[int, str]:
        """Values that are no class; whether a mask has the size of its image is a source's to judge, or `follow`'s."""
        strange = torch.where(column.tally(len(self.classes))[:, -1] > 0)[0]
        return {place: self._strange(column[place]) for place in strange.tolist()}

    def _strange(self, mask: Tensor) -> str:
        values = mask.unique()
        odd = values[((values < 0) | (values >= len(self.classes))) & (values != self.ignore)].tolist()
        shown = ", ".join(map(str, odd[:SHOWN])) + (" and more" if len(odd) > SHOWN else "")
        return f"value {shown}; accepted: 0 to {len(self.classes) - 1}, and {self.ignore} for what counts for nothing"

    def fitted(self, train: MaskRows) -> Self:
        counts = train.tally(len(self.classes))[:, :-1].sum(0)
        if not counts.any():
            raise UserError("no mask of train has a pixel that counts; there is nothing to learn")
        return replace(self, counts=tuple(counts.tolist()))

    def problems(self, parts: Mapping[str, MaskRows]) -> list[Problem]:
        found = {split: column.tally(len(self.classes))[:, :-1] for split, column in parts.items()}
        images = {split: (pixels > 0).sum(0).tolist() for split, pixels in found.items()}
        blank = [f"{split} {row}" for split, pixels in found.items() for row in _places(pixels.sum(1) == 0)]
        empty = problem("masks have no pixel that counts", "warning", blank, "nothing is learned or judged of them")
        return [*missing_classes(images, self.classes), *rare(images, self.classes), *empty]

    def strata(self, column: MaskRows) -> Tensor:
        """The class of each mask that is in the fewest masks (the number of classes for one where nothing counts)."""
        there = column.tally(len(self.classes))[:, :-1] > 0
        least = torch.where(there, there.sum(0), len(column) + 1).argmin(1)
        return torch.where(there.any(1), least, len(self.classes))

    # --- one target

    def shown(self, one: Tensor) -> str:
        pixels = tally(one, len(self.classes))[:-1]
        shares = (pixels / max(1, int(pixels.sum()))).tolist()
        named = sorted(zip(shares, self.classes, strict=True), key=lambda each: -each[0])
        found = [f"{share:.0%} {name}" for share, name in named if share]
        return ", ".join(found[:SHOWN]) + (" and others" if len(found) > SHOWN else "") or "nothing that counts"

    def same(self, one: Tensor, other: Tensor) -> bool:
        return torch.equal(one, other)

    def written(self, column: MaskRows) -> Iterator[str]:
        for place, pixels in enumerate(column.tally(len(self.classes))[:, :-1]):
            names = [self.classes[label] for label in _places(pixels > 0)]
            yield f"{names!r} {column.digest(place)}"

    def collated(self, several: Sequence[Tensor]) -> Tensor:
        return torch.stack(tuple(several))

    def joined(self, several: Sequence[MaskRows]) -> MaskRows:
        return several[0].with_more(several[1:])

    def follow(self, one: Tensor, frame: Frame) -> Tensor:
        """Of each pixel of the network's input the class where its middle came from; beyond the image it is ignored.

        Raises: UserError for a mask that has not the size of its image.
        """
        if tuple(one.shape) != (size := tuple(frame.raw.tolist())):
            raise UserError(f"the mask has {one.shape[0]} x {one.shape[1]} pixels, its image {size[0]} x {size[1]}")
        wide = one.long() if self.ignore < 0 else one  # a byte would hold -1 as 255, which may be a class
        return warped(wide, frame.inverse(), self.ignore)

    def together(self, several: Sequence[Tensor], windows: Sequence[Window], size: Size) -> Tensor:
        whole = torch.full(size, self.ignore, dtype=several[0].dtype)
        for one, (top, left, height, width) in zip(several, windows, strict=True):
            whole[top : top + height, left : left + width] = one
        return whole

    def cut(self, column: MaskRows, tiles: Tiles, owned: bool) -> MaskRows:
        own: Sequence[Window | None] = tiles.owned() if owned else [None] * len(tiles.windows)
        return TileMasks(column, tiles.of, tiles.windows, own, len(self.classes))

    # --- later data, and the bundle

    def moved(self, column: MaskRows, other: Self) -> MaskRows:
        if self.classes == other.classes:
            return column
        try:
            places = as_places(known(self.classes, other.classes))
        except ValueError as error:
            raise UserError(str(error)) from None
        return column.renumbered(places, len(other.classes))

    def stored(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "counts": list(self.counts)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        classes = names_of(stored["classes"])
        return cls(classes, counts_of(stored.get("counts"), len(classes)))


# --- one mask


def as_mask(values: Any) -> Tensor:
    """(h, w) uint8, or int64 of other whole numbers. Raises: UserError for what is no mask."""
    mask = torch.as_tensor(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)
    if mask.ndim != 2 or mask.is_floating_point() or mask.is_complex():
        raise UserError(f"a mask is {mask.dtype} of shape {tuple(mask.shape)}; accepted: whole numbers (h, w)")
    return mask if mask.dtype == torch.uint8 else mask.long()


def renumber(mask: Tensor, places: Tensor, classes: int) -> Tensor:
    """As MaskRows.renumbered does it."""
    before = len(places)
    if int(tally(mask, before)[-1]):
        raise UserError(f"a mask holds values that are no class; accepted: 0 to {before - 1}, and {ignored(before)}")
    table = torch.cat([places, torch.tensor([ignored(classes)])])
    moved = table[torch.where(mask.long() == ignored(before), before, mask.long())]
    return moved.to(torch.uint8) if classes <= MANY else moved


def warped(mask: Tensor, back: Frame, beyond: int) -> Tensor:
    """A mask (h, w) of `back.size` as one of `back.raw`, whose places `back` leads to those of the mask; nearest
    neighbours, and `beyond` where it leads out of the mask."""
    height, width = back.raw.tolist()
    (a, b, x), (c, d, y) = back.matrix.tolist()
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    if b == 0 == c:  # neither turned nor sheared: a whole row comes from one row
        down, across = _nearest(d * rows + y, mask.shape[0]), _nearest(a * columns + x, mask.shape[1])
        down, across = down[:, None], across[None]
    else:
        across = _nearest(a * columns + b * rows[:, None] + x, mask.shape[1])
        down = _nearest(c * columns + d * rows[:, None] + y, mask.shape[0])
    return mask[down.clamp(min=0), across.clamp(min=0)].masked_fill((down < 0) | (across < 0), beyond)


def _nearest(places: Tensor, size: int) -> Tensor:
    """The pixel in which each place lies, -1 where that is outside."""
    found = places.floor().long()
    return torch.where((found >= 0) & (found < size), found, -1)


def _places(flags: Tensor) -> list[int]:
    return torch.where(flags)[0].tolist()
