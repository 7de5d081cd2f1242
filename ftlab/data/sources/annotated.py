"""What all files of boxes have in common: from pictures with marks to splits.

Shapes: m boxes of one picture. A box is (left, top, right, bottom) in pixels, the first of which reaches from 0 to 1.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.groups import GroupPattern, grouped
from ftlab.data.sources.outlines import Drawing, OutlineMasks
from ftlab.data.sources.split_names import SPLITS
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.folders import not_there
from ftlab.files.paths import printable
from ftlab.frames import Size
from ftlab.inputs.images.files import ImageFiles, image_size, load_image
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.masks import Masks
from ftlab.targets.ragged import Parts, Ragged

Box = tuple[float, float, float, float]
Outside = Literal["cut", "drop", "error"]
GROUND = "background"  # the class of pixels that are in no outline
SLACK = 0.5  # pixels by which a box may lie outside since it was rounded: cut without a word
PARTLY, WHOLLY, TWICE = (
    "boxes lie partly outside of the image",
    "boxes lie outside of the image",
    "boxes are there twice",
)
ADVICE = {WHOLLY: "they are left out", TWICE: "one of each is left out"}


@dataclass(frozen=True)
class Mark:
    """One object, as its file has it."""

    box: Box
    label: int
    place: str  # where it stands: "labels/a.txt, line 3"
    crowd: bool = False
    outline: Any = None  # COCO's segmentation, where masks are asked for


@dataclass(frozen=True)
class Picture:
    """One image with all that is said of it."""

    path: Path
    split: str = "train"
    size: Size = (0, 0)  # height, width of the image, upright
    marks: tuple[Mark, ...] = ()
    fault: Fault | None = None  # why it cannot be used


@dataclass
class Reading:
    """What the files of a source say."""

    classes: tuple[str, ...]
    pictures: list[Picture] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Sharing:
    """How pictures become splits, and what becomes of boxes outside of them."""

    root: Path
    split: Sequence[float]
    outside: Outside
    groups: GroupPattern | None = None
    learned: bool = True  # Source.learned
    masked: bool = False  # whether masks are drawn of the outlines


def measured(path: Path, told: Size | None = None) -> Size | Fault:
    """Height and width of an image file, `told` those of its annotations; a Fault where it is none, or of others."""
    name = printable(path)
    if not path.is_file():
        return Fault(name, "annotated images are not there", f"{name}: {not_there(path)}")
    found = image_size(path)
    if found is None:
        try:
            found = load_image(path).size[::-1]
        except UserError as error:
            return Fault(name, "images cannot be read", str(error))
    if told is None or told == found:
        return found
    turned = "; it is turned by its EXIF orientation" if told == found[::-1] else ""
    said = f"its annotations are of {told[1]} x {told[0]} pixels, the image has {found[1]} x {found[0]}{turned}"
    return Fault(name, "images have another size than their annotations say", f"{name}: {said}")


def picture(path: Path, split: str, size: Size | Fault, marks: Iterable[Mark | Fault]) -> Picture:
    """A picture of the size that was `measured`, with its marks."""
    if isinstance(size, Fault):
        return Picture(path, split, fault=size)
    found = list(marks)
    wrong = next((mark for mark in found if isinstance(mark, Fault)), None)
    return Picture(path, split, size, tuple(mark for mark in found if isinstance(mark, Mark)), wrong)


class Judge:
    """Decides on each mark, and counts what it did."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.said: dict[str, list[str]] = defaultdict(list)

    def boxes(self, picture: Picture) -> Parts | Fault:
        """Of one picture, or why it cannot be used."""
        rows: dict[tuple[Box, int, bool], None] = {}
        for mark in picture.marks:
            found = self._box(mark, picture.size)
            if isinstance(found, Fault):
                return found
            row = (found, mark.label, mark.crowd)
            if row in rows:
                self.said[TWICE].append(mark.place)
            elif found is not None:
                rows[row] = None  # type: ignore[index]  # a box, not None
        boxes, labels, crowd = zip(*rows, strict=True) if rows else ((), (), ())
        made = {"boxes": torch.tensor(boxes).view(-1, 4), "labels": torch.tensor(labels), "crowd": torch.tensor(crowd)}
        return {name: made[name].to(none.dtype) for name, none in BLANK.items()}

    def _box(self, mark: Mark, size: Size) -> Box | Fault | None:
        """The box inside of the image; None where nothing is left."""
        left, top, right, bottom = mark.box
        shown = f"{mark.place}: the box {', '.join(f'{side:g}' for side in mark.box)} (left, top, right, bottom)"
        if not all(map(isfinite, mark.box)):
            return Fault(mark.place, "boxes hold no finite number", f"{shown} is not finite")
        if right <= left or bottom <= top:
            return Fault(mark.place, "boxes have no area", f"{shown} has no area; accepted: left < right, top < bottom")
        height, width = size
        cut = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        beyond = max(abs(one - other) for one, other in zip(cut, mark.box, strict=True))
        inside = cut[0] < cut[2] and cut[1] < cut[3]
        if inside and beyond <= SLACK:
            return cut
        if self.outside == "error":
            ways = "mend it, or set data.outside=cut or drop"
            kind = PARTLY if inside else WHOLLY
            return Fault(mark.place, kind, f"{shown} lies outside of the image of {width} x {height} pixels; {ways}")
        self.said[PARTLY if inside else WHOLLY].append(mark.place)
        return cut if inside and self.outside == "cut" else None

    def problems(self) -> list[Problem]:
        done = "cut at its rim" if self.outside == "cut" else "left out"
        advice = ADVICE | {PARTLY: f"they are {done} (data.outside={self.outside})"}
        return [one for kind, places in self.said.items() for one in problem(kind, "warning", places, advice[kind])]


def splits_of(read: Reading, sharing: Sharing, seed: int) -> Splits:
    """The splits of what was read; a picture that cannot be used is in none of them, and told in `faults`.

    Raises: UserError where no picture is left to train on.
    """
    judge, faults = Judge(sharing.outside), []
    kept: dict[str, list[tuple[Picture, Parts]]] = {split: [] for split in SPLITS}
    for one in _listed_once(read.pictures):
        found = one.fault or (BLANK if sharing.masked else judge.boxes(one))
        if isinstance(found, Fault):
            faults.append(found)
        else:
            kept[one.split].append((one, found))
    if sharing.learned and not kept["train"]:
        raise UserError(faults[0].reason if faults else f"{printable(sharing.root)}: no image is of the train split")
    classes = (GROUND, *(name for name in read.classes if name != GROUND)) if sharing.masked else read.classes
    samples, problems = _samples(kept, sharing, [classes.index(name) for name in read.classes])
    target = Masks(classes) if sharing.masked else Boxes(classes)
    train, val, test = samples["train"], samples.get("val"), samples.get("test")
    train, val, test, said = complete(target, train, val, test, sharing.split, seed)
    problems = [*read.problems, *judge.problems(), *problems]
    return Splits(train, val, test, target, said, tuple(problems), tuple(faults))


def _listed_once(pictures: Sequence[Picture]) -> list[Picture]:
    """With a fault in each of those whose file is another's of the same split: which of them is meant, nobody knows."""
    counts = Counter((one.split, os.path.normpath(one.path)) for one in pictures)
    found = []
    for one in pictures:
        if (number := counts[one.split, os.path.normpath(one.path)]) > 1 and one.fault is None:
            why = f"{printable(one.path)}: annotated {number} times in {one.split}; keep one of them"
            one = Picture(one.path, one.split, fault=Fault(printable(one.path), "images are annotated twice", why))
        found.append(one)
    return found


def _samples(
    kept: dict[str, list[tuple[Picture, Parts]]], sharing: Sharing, numbers: Sequence[int]
) -> tuple[dict[str, Samples], list[Problem]]:
    """Those of each split that is there, train always. numbers: in masks, of each class that files name."""
    several = {}
    for split, pairs in kept.items():
        paths = [one.path for one, _ in pairs]
        column = _drawings(pairs, numbers) if sharing.masked else Ragged.of([parts for _, parts in pairs], BLANK)
        if pairs or split == "train":
            several[split] = Samples(ImageFiles(paths), column, [printable(path) for path in paths])
    return grouped(several, sharing.groups, sharing.root) if sharing.groups else (several, [])


def _drawings(pairs: Sequence[tuple[Picture, Parts]], numbers: Sequence[int]) -> OutlineMasks:
    """Class 0 is the ground, which files may name too."""
    parts = [[(numbers[mark.label], mark.outline, mark.place) for mark in one.marks] for one, _ in pairs]
    return OutlineMasks([Drawing(one.size, tuple(own)) for (one, _), own in zip(pairs, parts, strict=True)])
