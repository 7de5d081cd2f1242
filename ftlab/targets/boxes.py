"""Boxes with a class each; a sample may hold none.

Shapes: n samples, m boxes of one sample, k classes. A box is (left, top, right, bottom) in pixels, the first of which
reaches from 0 to 1.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Window
from ftlab.problems import Problem, problem
from ftlab.targets.base import Target, Tiles
from ftlab.targets.counted import as_places, counts_of, known, missing_classes, names_of, rare
from ftlab.targets.ragged import Parts, Ragged, joined

BLANK: Parts = {
    "boxes": torch.zeros(0, 4),
    "labels": torch.zeros(0, dtype=torch.int64),
    # A region of many that nobody is to find one by one: neither right nor wrong.
    "crowd": torch.zeros(0, dtype=torch.bool),
}
LEAST_SEEN = 0.25  # of the area of a box that is cut at the rim: with less of it, nobody would know it again
LEAST_SIDE = 1.0  # pixels of the network's input


@dataclass(frozen=True)
class Boxes(Target):
    """Columns are Ragged of boxes (r, 4) float32, labels (r,) int64 and crowd (r,) bool; one sample is such Parts."""

    kind: ClassVar[str] = "boxes"
    plural: ClassVar[str] = "boxes"
    task: ClassVar[str] = "detection"
    given: ClassVar[str] = "give boxes by data=coco, data=yolo or data=pascal_voc"
    follows: ClassVar[bool] = True
    mosaics: ClassVar[bool] = True

    classes: tuple[str, ...]
    counts: tuple[int, ...] = ()  # training boxes of each class

    # --- the targets of a split

    def misshapen(self, column: Ragged) -> str | None:
        return None if self.classes else "no class; at least 1 is needed."

    def faults(self, column: Ragged) -> dict[int, str]:
        """Numbers that are no box; what lies outside of its image is a source's to judge, which knows its size."""
        boxes, labels = column.rows["boxes"], column.rows["labels"]
        strange = (labels < 0) | (labels >= len(self.classes))
        empty = ~((boxes[:, 2:] > boxes[:, :2]).all(1) & boxes.isfinite().all(1))
        found = {}
        for row in torch.where(strange | empty)[0].tolist():
            is_class = bool(strange[row])
            found[int(column.of_sample[row])] = (
                f"class {int(labels[row])}; accepted: 0 to {len(self.classes) - 1}"
                if is_class
                else f"{boxes[row].tolist()}; accepted: left < right, top < bottom"
            )
        return found

    def fitted(self, train: Ragged) -> Self:
        if not len(train.rows["labels"]):
            raise UserError("no image of train has a box; there is nothing to learn")
        return replace(self, counts=self.count(train))

    def count(self, column: Ragged) -> tuple[int, ...]:
        """Boxes of each class."""
        return tuple(torch.bincount(column.rows["labels"], minlength=len(self.classes)).tolist())

    def problems(self, parts: Mapping[str, Ragged]) -> list[Problem]:
        counts = {split: self.count(column) for split, column in parts.items()}
        empty = {split: int((column.counts == 0).sum()) for split, column in parts.items()}
        names = [f"{count} of {split}" for split, count in empty.items() if count]
        without = sum(empty.values())
        said = [Problem("images have no box", "note", without, tuple(names))] if without else []
        return [*missing_classes(counts, self.classes), *rare(counts, self.classes), *said, *self._twice(parts)]

    def _twice(self, parts: Mapping[str, Ragged]) -> list[Problem]:
        found = []
        for split, column in parts.items():
            for place, one in enumerate(column.samples()):
                rows = torch.cat([one["boxes"], one["labels"][:, None]], 1)
                if len(rows) != len(rows.unique(dim=0)):
                    found.append(f"{split} {place}")
        return problem("images hold the same box twice", "warning", found, "one of them can only be missed")

    def strata(self, column: Ragged) -> Tensor:
        """The rarest class of each image (the number of classes for an image without a box)."""
        total = torch.bincount(column.rows["labels"], minlength=len(self.classes))
        found = torch.full((len(column),), len(self.classes), dtype=torch.int64)
        for place, one in enumerate(column.samples()):
            if len(labels := one["labels"].unique()):
                found[place] = labels[total[labels].argmin()]
        return found

    # --- one target

    def shown(self, one: Parts) -> str:
        """The number behind the name: a class may be called 7."""
        return ", ".join(f"{name} ({count})" for name, count in self._counted(one).items()) or "no box"

    def written(self, column: Ragged) -> Iterator[str]:
        for one in column.samples():
            yield ", ".join(f"{count} {name}" for name, count in self._counted(one).items()) or "no box"

    def _counted(self, one: Parts) -> Counter[str]:
        return Counter(self.classes[label] for label in one["labels"].tolist())

    def same(self, one: Parts, other: Parts) -> bool:
        """The same boxes of the same classes, in any order."""
        rows = [torch.cat([p["boxes"], p["labels"][:, None]], 1).tolist() for p in (one, other)]
        return sorted(rows[0]) == sorted(rows[1])

    def collated(self, several: Sequence[Parts]) -> Ragged:
        return Ragged.of(several, BLANK)

    def joined(self, several: Sequence[Ragged]) -> Ragged:
        return joined(several)

    def follow(self, one: Parts, frame: Frame) -> Parts:
        """The upright box around where the corners went, cut at the rim; one of which little is left is left out."""
        cut, kept = self._moved(one, frame)
        return {name: rows[kept] for name, rows in {**one, "boxes": cut}.items()}

    def together(self, several: Sequence[Parts], windows: Sequence[Window], size: Size) -> Parts:
        moved = []
        for one, (top, left, _, _) in zip(several, windows, strict=True):
            moved.append({**one, "boxes": one["boxes"] + torch.tensor([left, top, left, top])})
        return {name: torch.cat([one[name] for one in moved]) for name in BLANK}

    def cut(self, column: Ragged, tiles: Tiles, owned: bool) -> Ragged:
        """A box that a tile shows a part of is cut at its rim, as `follow` does it."""
        several = column.samples()
        pairs = zip(tiles.of.tolist(), tiles.frames(), strict=True)
        return Ragged.of([self.follow(several[place], frame) for place, frame in pairs], BLANK)

    def sides(self, one: Parts, frame: Frame) -> Tensor:
        cut, kept = self._moved(one, frame)
        return (cut[:, 2:] - cut[:, :2]).amin(1).masked_fill(~kept, 0)

    def _moved(self, one: Parts, frame: Frame) -> tuple[Tensor, Tensor]:
        """Boxes (m, 4) of the network's input, and (m,) whether enough of each is left."""
        moved = around(frame.apply(corners(one["boxes"])))
        height, width = frame.size.tolist()
        cut = moved.clone()
        cut[:, 0::2] = cut[:, 0::2].clamp(0, width)
        cut[:, 1::2] = cut[:, 1::2].clamp(0, height)
        sides = (cut[:, 2:] - cut[:, :2]).clamp(min=0)
        seen = sides.prod(1) >= LEAST_SEEN * (moved[:, 2:] - moved[:, :2]).prod(1)
        return cut, seen & (sides >= LEAST_SIDE).all(1)

    # --- later data, and the bundle

    def moved(self, column: Ragged, other: Self) -> Ragged:
        try:
            places = as_places(known(self.classes, other.classes))
        except ValueError as error:
            raise UserError(str(error)) from None
        return Ragged({**column.rows, "labels": places[column.rows["labels"]]}, column.counts)

    def stored(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "counts": list(self.counts)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        classes = names_of(stored["classes"])
        return cls(classes, counts_of(stored.get("counts"), len(classes)))


def corners(boxes: Tensor) -> Tensor:
    """(m, 4) to the four corners (m * 4, 2)."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)


def around(places: Tensor) -> Tensor:
    """Corners (m * 4, 2) to the upright boxes (m, 4) around each four."""
    each = places.reshape(-1, 4, 2)
    return torch.cat([each.amin(1), each.amax(1)], 1)
