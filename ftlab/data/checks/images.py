"""What a look at one image file tells: whether it can be used, what is special about it, and what it looks like."""

import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from ftlab.errors import UserError
from ftlab.files.paths import printable
from ftlab.inputs.images.files import MODES_WITH_ALPHA, Range, load_image, load_ranged

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
# How Pillow's decoders speak of a file that ends too early.
CUT = ("truncated", "broken data stream", "unexpected end", "not enough image data", "cannot read that many")

EMPTY = "files are empty"
GONE = "files are not there"
SPECIAL = "files are no regular files"
UNREADABLE = "images cannot be read"
TRUNCATED = "images are truncated"
BOMB = "images have too many pixels"
PHOTOS = ("JPEG", "MPO")  # formats of 8 bits that blur values, so that nobody keeps masks in them
WRONG_SUFFIX = "images have the suffix of another format"


@dataclass(frozen=True)
class Look:
    """What was seen of one image."""

    fault: str | None = None  # the kind of problem that makes it unusable
    reason: str = ""  # of the fault, naming the file
    notes: tuple[str, ...] = ()  # kinds of what is special and handled
    thumbnail: bytes | None = None  # see `thumbnail`
    range: str = ""  # of its values, where they are a small part of what their depth can hold
    pixels: int = 0  # how many there are, by a header
    photo: bool = False  # whether its format can hold neither 16 bits nor classes


def look(path: str, load: bool) -> Look:
    """The header of a file; with `load` also all its pixels."""
    name = printable(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            return Look(SPECIAL, f"{name}: not a regular file; remove it.")
    except OSError as error:
        return Look(GONE, f"{name}: {error.strerror}.")
    if status.st_size == 0:
        return Look(EMPTY, f"{name}: the file is empty (0 bytes); replace or remove it.")
    try:
        seen = _header(path)
        return replace(loaded(path), notes=seen.notes) if load else seen
    except UserError as error:
        return Look(_kind(error), str(error))


def loaded(path: str) -> Look:
    """What the pixels of a file tell. Raises: UserError, as load_image does."""
    image, values = load_ranged(path)
    small = thumbnail(image)
    return Look(thumbnail=small, range=narrow(image, small, values))


def narrow(image: Image.Image | Tensor, small: bytes, values: Range | None = None) -> str:
    """The range of an image's values if it is a small part; `small`: its thumbnail, `values`: None for the image's own.

    No mean of pixels is above the greatest of them: only of a dark thumbnail all pixels have to be looked at.
    """
    if values is None and Range(0, max(small), 255).narrow:
        values = Range(*_extremes(image), 255)
    return str(values) if values and values.narrow else ""


def _extremes(image: Image.Image | Tensor) -> tuple[int, int]:
    if isinstance(image, Tensor):
        return int(image.min()), int(image.max())
    bands = np.array(image.getextrema()).reshape(-1, 2)
    return int(bands[:, 0].min()), int(bands[:, 1].max())


def _header(path: str) -> Look:
    """What is special about an image, how large it is, and of what kind its format is.

    Raises: UserError, as load_image does, if there is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of broken EXIF data and the like, which loading gets over
            with Image.open(path) as image:
                if image.mode in ("F", "I"):  # 32 bits, of which only the pixels tell whether their range is known
                    load_image(path)
                notes = tuple(_notes(image, Path(path).suffix.lower()))
                return Look(notes=notes, pixels=image.width * image.height, photo=image.format in PHOTOS)
    except Exception:
        load_image(path)  # says what is wrong, in its own words
        return Look()


def _notes(image: Image.Image, suffix: str) -> Iterator[str]:
    formats = Image.registered_extensions()
    if image.format and formats.get(suffix) != image.format and not _is_jpeg(image.format, formats.get(suffix)):
        yield WRONG_SUFFIX
    if image.mode.startswith("I"):
        yield "images have 16-bit pixels and are scaled to 8 bits"
    if image.mode in MODES_WITH_ALPHA or "transparency" in image.info:
        yield "images are transparent and are shown on white"
    elif image.mode in ("P", "PA"):
        yield "images have a palette and become RGB"
    if image.mode == "CMYK":
        yield "images are CMYK (for print) and become RGB"
    if _orientation(image) not in (0, 1):
        yield "images are turned upright as their EXIF orientation says"
    if getattr(image, "is_animated", False) and not _is_jpeg(image.format, "JPEG"):
        yield "images have several frames, of which the first is used"


def _orientation(image: Image.Image) -> int:
    """As EXIF has it; for a PNG that keeps it behind its pixels Pillow would have to read these, so it is not told."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return int(image.getexif().get(ORIENTATION, 1))


def _is_jpeg(format: str | None, expected: str | None) -> bool:
    """Phones write MPO, which is JPEG with further pictures, under the suffix of JPEG."""
    return format in ("JPEG", "MPO") and expected in ("JPEG", "MPO")


def _kind(error: UserError) -> str:
    cause = error.__cause__
    if isinstance(cause, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return BOMB
    return TRUNCATED if any(words in str(cause).lower() for words in CUT) else UNREADABLE


def thumbnail(image: Image.Image | Tensor) -> bytes:
    """A picture as 8 rows of 9 grey pixels, for duplicates.near."""
    picture: Any = tvf.to_pil_image(image) if isinstance(image, Tensor) else image
    return picture.convert("L").resize((9, 8), Image.Resampling.BOX).tobytes()
