"""Masks in files: images whose numbers, palette or colours say the class of each pixel.

Shapes: n samples, k classes, h and w height and width.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ftlab.errors import UserError
from ftlab.files.paths import printable
from ftlab.targets.mask_rows import MaskRows, digest, ignored, tally
from ftlab.targets.masks import renumber
from ftlab.targets.packed import Packed

Colour = tuple[int, int, int]
Mark = int | Colour  # what stands for a class in a file: a number, or a colour
SHOWN = 3  # marks that are named


@dataclass(frozen=True)
class Reading:
    """How the pixels of files become classes: each of `marks` is the class of its place."""

    marks: tuple[Mark, ...]
    ignore: Mark | None = None  # what counts for nothing; None: nothing does

    @property
    def coloured(self) -> bool:
        return any(isinstance(mark, tuple) for mark in self.marks)

    @property
    def numbers(self) -> dict[int, int]:
        """The class of each mark, colours as one number."""
        known = {joined(mark): place for place, mark in enumerate(self.marks)}
        return known if self.ignore is None else known | {joined(self.ignore): ignored(len(self.marks))}

    def classes(self, path: str) -> Tensor:
        """(h, w) the mask of a file. Raises: UserError, naming the file, if it is none, or holds what is no class."""
        values = pixels(path, self.coloured)
        known = self.numbers
        order = np.array(sorted(known))
        places = np.searchsorted(order, values).clip(max=len(order) - 1)
        strange = order[places] != values
        if strange.any():
            raise UserError(f"{printable(path)}: {self._odd(values[strange])}")
        found = np.array([known[int(one)] for one in order])[places]
        return torch.from_numpy(found.astype(np.uint8 if ignored(len(self.marks)) > 0 else np.int64))

    def _odd(self, values: np.ndarray) -> str:
        several, counts = np.unique(values, return_counts=True)
        most = several[counts.argsort()[::-1]][:SHOWN].tolist()
        what = [f"#{one:06x}" if self.coloured else str(one) for one in most]
        word = "colour" if self.coloured else "value"
        return f"the {word} {', '.join(what)} of {len(values):,} pixels is no class"


def joined(mark: Mark) -> int:
    return mark if isinstance(mark, int) else (mark[0] << 16) + (mark[1] << 8) + mark[2]


def pixels(path: str | os.PathLike[str], coloured: bool) -> np.ndarray:
    """(h, w) int64 numbers of a file's pixels: grey values, places in the palette, or colours as one number.

    Raises: UserError, naming the file, where it cannot be read, or has colours where there should be numbers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if coloured:
                    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), np.int64), -1, 0)
                    return (red << 16) + (green << 8) + blue
                if image.mode in ("1", "L", "P", "I", "I;16", "I;16B"):
                    return np.asarray(image).astype(np.int64)
                mode = image.mode
    except Exception as error:  # Pillow's decoders raise all kinds
        reason = str(error).replace(" " + repr(os.fspath(path)), "") or type(error).__name__
        raise UserError(f"{printable(path)}: not a readable mask ({reason}): replace or remove it.") from error
    raise UserError(f"{printable(path)}: has colours ({mode}); say which class each is by data.classes")


@dataclass
class Seen:
    """What was found in files that have been read, by path, so that none is read twice."""

    tallies: dict[str, Tensor] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    masks: Packed = field(default_factory=Packed)  # as Reading.classes gives them


class MaskFiles(MaskRows):
    """Masks of files, decoded on the first access, as far as they have room in memory."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        reading: Reading,
        to: tuple[Tensor, int] | None = None,
        seen: Seen | None = None,
    ) -> None:
        """to: the number of each class among so many others, where they are renumbered; seen: see Seen."""
        self.paths, self.reading, self.to = [os.fspath(path) for path in paths], reading, to
        self.seen = seen or Seen()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        path = self.paths[place]
        found = self.seen.masks.get(path)
        if found is None:
            found = self.reading.classes(path)
            self.seen.masks.put(path, found)
        return found if self.to is None else renumber(found, *self.to)

    def select(self, places: Tensor) -> "MaskFiles":
        return MaskFiles([self.paths[place] for place in places.tolist()], self.reading, self.to, self.seen)

    def with_more(self, others: Sequence[MaskRows]) -> "MaskFiles":
        """Raises: UserError for masks that are read in another way."""
        paths = list(self.paths)
        for other in others:
            if not isinstance(other, MaskFiles) or (other.reading, other.to) != (self.reading, self.to):
                raise UserError("masks that are read in several ways cannot be put together")
            paths += other.paths
        return MaskFiles(paths, self.reading, self.to, self.seen)

    def renumbered(self, places: Tensor, classes: int) -> "MaskFiles":
        return MaskFiles(self.paths, self.reading, (places, classes), Seen(masks=self.seen.masks))

    def tally(self, classes: int) -> Tensor:
        for place in range(len(self)):
            self.look(place)
        found = [self.seen.tallies[path] for path in self.paths]
        return torch.stack(found) if found else torch.zeros(0, classes + 1, dtype=torch.int64)

    def look(self, place: int) -> None:
        """Read a file, if nobody has, for what `tally` and `digest` say of it. Raises: UserError as Reading.classes."""
        path, classes = self.paths[place], len(self.reading.marks) if self.to is None else self.to[1]
        if path not in self.seen.tallies:
            mask = self[place]
            self.seen.tallies[path], self.seen.digests[path] = tally(mask, classes), digest(mask)

    def digest(self, place: int) -> str:
        path = self.paths[place]
        return self.seen.digests[path] if path in self.seen.digests else super().digest(place)


def classes_of(given: Mapping[str, object] | Sequence[str]) -> dict[str, Mark]:
    """Names of classes, each with its mark: as given, or its place. Raises: UserError for what is no mark."""
    pairs = list(given.items()) if isinstance(given, Mapping) else [(name, place) for place, name in enumerate(given)]
    named = [str(name) for name, _ in pairs]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"data.classes: the class '{twice}' is there twice; give each its own name")
    return {str(name): as_mark(mark, f"data.classes: {name}") for name, mark in pairs}


def as_mark(value: object, key: str) -> Mark:
    """Raises: UserError for what is neither a number from 0 nor a colour."""
    match value:
        case int() if value >= 0 and not isinstance(value, bool):
            return value
        case [int(red), int(green), int(blue)] if all(0 <= part <= 255 for part in (red, green, blue)):
            return red, green, blue
    raise UserError(f"{key}={value}: accepted is a number from 0, or a colour such as [128, 64, 0]")


def classes_in(path: Path) -> dict[str, Mark]:
    """Of a file with a class a line: NAME, or NAME and its number or three of its colour, before or behind the name.
    A line that begins with # is a comment.

    Raises: UserError naming file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data.classes={printable(path)}: cannot be read ({error})") from error
    found: dict[str, Mark] = {}
    for number, line in enumerate(lines, start=1):
        cells = line.replace(",", " ").replace(";", " ").replace("\t", " ").split()
        numbers = [int(cell) for cell in cells if cell.isdecimal()]
        name = " ".join(cell for cell in cells if not cell.isdecimal())
        if (
            not cells
            or cells[0].startswith("#")
            or (not found and name.lower() in ("name r g b", "r g b name", "class r g b", "name value"))
        ):
            continue
        place = f"{printable(path)}, line {number}"
        if not name or len(numbers) not in (0, 1, 3) or name in found:
            what = f"the class '{name}' is there twice" if name in found else f"'{line.strip()}' names no class"
            raise UserError(f"{place}: {what}; accepted: NAME, NAME NUMBER or NAME RED GREEN BLUE")
        mark = numbers if len(numbers) == 3 else numbers[0] if numbers else len(found)
        found[name] = as_mark(mark, place)
    return found
