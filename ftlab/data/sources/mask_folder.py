"""Images in one folder and their masks in another, with or without folders for train, val and test."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.groups import GroupPattern, grouped
from ftlab.data.sources.split_names import SPLIT_NAMES
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder, image_files, subfolders
from ftlab.files.image_suffixes import by_suffix
from ftlab.files.paths import printable
from ftlab.inputs.images.files import ImageFiles, image_size
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.mask_files import Mark, MaskFiles, Reading, Seen, as_mark, classes_in, classes_of, pixels
from ftlab.targets.masks import Masks

AUTO, USUAL = "auto", 255  # what counts for nothing in masks of numbers, where no class has this one
MANY = 500  # masks from which a bar is shown while they are read
Pair = tuple[Path, Path]  # an image and its mask


@dataclass
class Found:
    """The pairs of one split, and what was left out."""

    pairs: list[Pair] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class MaskFolder(Source):
    """root/images/... and root/masks/..., each with folders train, val and test or without; or root/train/images/...,
    root/train/masks/... and so on. A mask lies below its folder as its image does below the other, whatever suffix each
    has.
    """

    def __init__(
        self,
        root: str,
        split: Sequence[float],
        images: str = "images",
        masks: str = "masks",
        mask_suffix: str = "",
        classes: str | list[str] | Mapping[str, Any] | None = None,
        ignore: str | int | list[int] | None = AUTO,
        group_pattern: str | None = None,
    ) -> None:
        """mask_suffix: what masks are called behind the name of their image, before the suffix of the file.

        Raises: UserError for classes or a pattern that cannot be read.
        """
        self.root, self.split, self.images, self.masks, self.mask_suffix = root, split, images, masks, mask_suffix
        self.classes = None if classes is None else read_classes(classes)
        self.ignore = ignore if ignore in (None, AUTO) else as_mark(ignore, "data.ignore")
        coloured = any(isinstance(mark, tuple) for mark in (self.classes or {}).values())
        if self.ignore not in (None, AUTO) and isinstance(self.ignore, tuple) != coloured:
            sort = "colours; accepted is one, such as [255, 255, 255]" if coloured else "numbers; accepted is one"
            raise UserError(f"data.ignore={ignore}: the classes are {sort}, or null")
        self.groups = None if group_pattern is None else GroupPattern(group_pattern)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        found = {split: self.pairs(*folders) for split, folders in self.folders(root).items()}
        self.check(found)
        of = found["train"].pairs if self.learned else [pair for one in found.values() for pair in one.pairs]
        marks = self.classes or numbers_of((mask for _, mask in of), self.ignore)
        reading = Reading(tuple(marks.values()), self.ignored(marks))
        seen = Seen()
        for split, one in found.items():
            readable(one, MaskFiles([mask for _, mask in one.pairs], reading, seen=seen), split)
        self.check(found)
        samples = {split: drawn(one.pairs, reading, seen) for split, one in found.items() if one.pairs}
        problems = [told for one in found.values() for told in one.problems]
        if self.groups:
            samples, odd = grouped(samples, self.groups, root)
            problems += odd
        target = Masks(tuple(marks))
        train = samples.get("train") or drawn([], reading, seen)
        train, val, test, said = complete(target, train, samples.get("val"), samples.get("test"), self.split, seed)
        faults = tuple(fault for one in found.values() for fault in one.faults)
        return Splits(train, val, test, target, said, tuple(problems), faults)

    def check(self, found: Mapping[str, Found]) -> None:
        """Raises: UserError where nothing is left to learn from."""
        if self.learned and not found.get("train", Found()).pairs:
            faults = [fault.reason for one in found.values() for fault in one.faults]
            told = f" {len(faults):,} cannot be used, for example: {faults[0]}" if faults else ""
            raise UserError(f"data.root={self.root}: holds no image of train with a mask.{told}")

    def folders(self, root: Path) -> dict[str, Pair]:
        """Of each split the folders of images and of masks.

        Raises: UserError where there are none, or two of one split.
        """
        inside = [one for one in subfolders(root) if one.name.lower() in SPLIT_NAMES and (one / self.images).is_dir()]
        if inside:
            return by_split((one.name, (one / self.images, existing_folder(one / self.masks))) for one in inside)
        images = existing_folder(root / self.images, f"data.root={printable(root)}, data.images={self.images}: images")
        masks = existing_folder(root / self.masks, f"data.root={printable(root)}, data.masks={self.masks}: masks")
        named = [one for one in subfolders(images) if one.name.lower() in SPLIT_NAMES]
        if not named:
            return {"train": (images, masks)}
        return by_split((one.name, (one, existing_folder(masks / one.name))) for one in named)

    def pairs(self, images: Path, masks: Path) -> Found:
        """Images with their masks, by the path of each below its folder without its suffix."""
        found, (pictures, others), (painted, more) = Found(), image_files(images), image_files(masks)
        there = {key(path, masks): path for path in painted}
        twice = doubled(pictures, images)
        for image in pictures:
            name, mask = printable(image), there.pop(key(image, images) + self.mask_suffix, None)
            if image in twice:
                what = f"{name}: another image of that name, but for its suffix, has the same mask."
                found.faults.append(Fault(name, "images share a mask", what))
            elif mask is None:
                wanted = printable(masks / (key(image, images) + self.mask_suffix))
                found.faults.append(Fault(name, "images have no mask", f"{name}: there is no mask {wanted}.*"))
            else:
                found.pairs.append((image, mask))
        rest, odd = (list(map(printable, files)) for files in (there.values(), [*others, *more]))
        found.problems += problem("masks have no image", "warning", rest, "left out")
        kind = f"files are no images that can be read ({by_suffix([*others, *more])})"
        found.problems += problem(kind, "warning", odd, f"left out in {printable(images)}")
        return found

    def ignored(self, marks: Mapping[str, Mark]) -> Mark | None:
        """The mark of what counts for nothing. Raises: UserError for one that is a class too."""
        if self.ignore is None:
            return None
        if self.ignore == AUTO:
            usable = USUAL not in marks.values() and not any(isinstance(mark, tuple) for mark in marks.values())
            return USUAL if usable else None
        if self.ignore in marks.values():
            raise UserError(f"data.ignore={self.ignore}: is a class too; leave it out of data.classes, or ignore=null")
        return self.ignore  # type: ignore[return-value]  # neither AUTO nor None


def key(path: Path, folder: Path) -> str:
    return os.path.splitext(os.path.relpath(path, folder))[0]


def doubled(images: Sequence[Path], folder: Path) -> set[Path]:
    """Those whose name, but for its suffix, an earlier one has."""
    seen: set[str] = set()
    return {path for path in images if key(path, folder) in seen or seen.add(key(path, folder))}  # type: ignore[func-returns-value]


def by_split(folders: Iterable[tuple[str, Pair]]) -> dict[str, Pair]:
    """Raises: UserError for two folders of one split."""
    found: dict[str, Pair] = {}
    for name, pair in folders:
        split = SPLIT_NAMES[name.lower()]
        if split in found:
            raise UserError(f"{printable(found[split][0])} and {printable(pair[0])} are both of {split}: keep one.")
        found[split] = pair
    return found


def read_classes(given: Any) -> dict[str, Mark]:
    """Classes by name, of a file, a list or a mapping. Raises: UserError where one stands for two, or with a colour
    beside numbers."""
    found = classes_in(Path(given).expanduser()) if isinstance(given, str) else classes_of(given)
    marks = list(found.values())
    same = next((name for name, mark in found.items() if marks.count(mark) > 1), None)
    if same is not None:
        raise UserError(f"data.classes: '{same}' has the {found[same]} of another class; give each its own")
    if len({isinstance(mark, tuple) for mark in marks}) > 1:
        raise UserError("data.classes: some classes have colours and some have numbers; give all of them one sort")
    return found


def numbers_of(masks: Iterable[Path], ignore: Any) -> dict[str, Mark]:
    """The numbers in masks as classes that are called by them. Raises: UserError for one alone, or for colours."""
    values: set[int] = set()
    for mask in masks:
        try:
            values |= set(np.unique(pixels(mask, coloured=False)).tolist())
        except UserError as error:
            if "has colours" in str(error):
                raise
    counted = sorted(values - {USUAL if ignore == AUTO else ignore})
    if len(counted) < 2 and USUAL in values:
        raise UserError(
            f"masks hold {' and '.join(map(str, sorted(values)))} alone, and {USUAL} counts for nothing unless it is a "
            "class; say so by data.classes={background: 0, thing: 255}"
        )
    return {str(value): value for value in counted}


def readable(found: Found, masks: MaskFiles, split: str) -> None:
    """Leave out the pairs whose mask cannot be used, with what is wrong with each."""
    good: list[Pair] = []
    hidden = len(found.pairs) < MANY or not (console := Console(stderr=True)).is_terminal
    places = range(len(found.pairs))
    for place in places if hidden else track(places, f"masks of {split}", console=console, transient=True):
        image, mask = found.pairs[place]
        fault = sizes_differ(image, mask, split) or unreadable(masks, place, split)
        found.faults += [fault] if fault else []
        good += [] if fault else [(image, mask)]
    found.pairs = good


def unreadable(masks: MaskFiles, place: int, split: str) -> Fault | None:
    try:
        masks.look(place)
    except UserError as error:
        kind = "masks hold what is no class" if "is no class" in str(error) else "masks cannot be read"
        return Fault(printable(masks.paths[place]), kind, str(error), split)
    return None


def sizes_differ(image: Path, mask: Path, split: str) -> Fault | None:
    """By the heads of both files; what cannot be read is told elsewhere."""
    wanted = image_size(image)
    try:
        with Image.open(mask) as opened:
            found = (opened.height, opened.width)
    except Exception:
        return None
    if wanted is None or found == wanted:
        return None
    sizes = f"has {found[0]} x {found[1]} pixels, its image {wanted[0]} x {wanted[1]}"
    return Fault(printable(mask), "masks have not the size of their image", f"{printable(mask)}: {sizes}.", split)


def drawn(pairs: Sequence[Pair], reading: Reading, seen: Seen) -> Samples:
    images, masks = [image for image, _ in pairs], MaskFiles([mask for _, mask in pairs], reading, seen=seen)
    return Samples(ImageFiles(images), masks, list(map(printable, images)))
