"""Images as raw inputs: what Preprocessing does with files, Pillow images and tensors.

Shapes: c channels, h height, w width.
"""

import glob
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from ftlab.data.augment import Augment
from ftlab.data.base import Fields, Preprocessing, Unread
from ftlab.data.datasets import pixels
from ftlab.data.folders import image_files, skipped
from ftlab.data.images import load_image, printable
from ftlab.data.transforms import evaluation_transform, training_transform
from ftlab.errors import UserError

Picture = str | Path | Image.Image | Tensor  # a file, a PIL image, or a uint8 tensor (c, h, w)
LONGEST = 160  # pixels of the longer side of an image in a gallery


class PictureTransform:
    """A raw image to {"images": float32 (3, h, w)}."""

    def __init__(self, preprocessing: Preprocessing, augment: Augment | None) -> None:
        """Raises: UserError for an unknown interpolation or a crop_pct outside (0, 1]."""
        plain = evaluation_transform(preprocessing)
        self.one = plain if augment is None else training_transform(preprocessing, augment)
        self.random = self.one.random

    def __call__(self, raw: Any) -> Fields:
        return {"images": self.one(raw)}


def each(given: Picture | Iterable[Picture]) -> Iterator[Image.Image | Tensor]:
    """Raises: UserError for a file that cannot be read, or a tensor that holds no RGB image."""
    for one in [given] if isinstance(given, str | Path | Image.Image | Tensor) else given:
        yield load_image(one) if isinstance(one, str | Path) else pixels(one)


def listed(inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
    """The images that `files` finds, and its warnings."""
    found, warnings = files(inputs)
    return [Unread({"file": printable(path)}, partial(load_image, path)) for path in found], warnings


def files(inputs: str | Sequence[str]) -> tuple[list[Path], tuple[str, ...]]:
    """The files that FILES, a FOLDER or a GLOB name, in the order given, folders and globs sorted; and warnings.

    In a folder only files with an image's suffix are taken, hidden ones never; the others are warned of.
    Raises: UserError for an input that names nothing.
    """
    found: list[Path] = []
    warnings: tuple[str, ...] = ()
    for text in [inputs] if isinstance(inputs, str) else inputs:
        path = Path(text)
        if path.is_dir():
            these, others = image_files(path)
            warnings += skipped(others)
        elif path.exists() or not glob.has_magic(text):
            these = [path]
        else:
            these = [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if p.is_file()]
        if not these:
            raise UserError(f"input={text}: names no image; give files, a folder or a glob such as 'photos/*.jpg'")
        found += these
    return found, warnings


def thumbnail(raw: Any, longest: int = LONGEST) -> Image.Image:
    """A copy of a raw image, `longest` pixels on its longer side."""
    image = raw if isinstance(raw, Image.Image) else tvf.to_pil_image(raw)
    return ImageOps.contain(image, (longest, longest))
