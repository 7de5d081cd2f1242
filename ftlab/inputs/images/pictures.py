"""Images as raw inputs: what Preprocessing does with files, Pillow images and tensors.

Shapes: c channels, h height, w width.
"""

import glob
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.files.folders import image_files, skipped, unreadable
from ftlab.files.image_suffixes import USUAL
from ftlab.files.paths import printable
from ftlab.frames import Frame, Size
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import Cell, FramedTransform, Inputs, Unread
from ftlab.inputs.images.files import ArrayImages, extent_of, load_image, pixels, source_of
from ftlab.inputs.images.geometry import Geometry, evaluation_frame, resized, resized_size
from ftlab.inputs.images.mosaic import draw_cells, together
from ftlab.inputs.images.transforms import evaluation_transform, training_transform

Picture = str | Path | Image.Image | Tensor | np.ndarray  # a file, a PIL image, a uint8 tensor (c, h, w) or array
LONGEST = 160  # pixels of the longer side of an image in a gallery
VERSIONS = (PIL.__version__, torchvision.__version__)  # of what decodes and resizes


class PictureTransform(FramedTransform):
    """A raw image to uint8 (3, h, w) that is `resized`, then to {"images": float32 (3, h, w)}."""

    def __init__(self, preprocessing: Geometry, augment: Augment | None) -> None:
        """Raises: UserError for an unknown interpolation or resize, or a crop_pct outside (0, 1]."""
        plain = evaluation_transform(preprocessing)
        self.one = plain if augment is None else training_transform(preprocessing, augment)
        self.random = self.one.random
        self.preprocessing = preprocessing
        self.mosaic = augment.mosaic if augment else 0.0

    def first(self, raw: Any) -> Tensor:
        return resized(raw, self.preprocessing)

    def then(self, first: Tensor) -> Fields:
        return {"images": self.one.then(first)}

    def extent(self, raw: Any) -> Size:
        return (raw.height, raw.width) if isinstance(raw, Image.Image) else (raw.shape[-2], raw.shape[-1])

    def framed(self, first: Tensor, extent: Size) -> tuple[Fields, Frame]:
        image, frame = self.one.framed(first, extent)
        return {"images": image}, frame

    def cells(self) -> list[Cell]:
        return draw_cells(self.preprocessing.size)

    def together(self, several: Sequence[Fields], cells: Sequence[Cell]) -> Fields:
        return {"images": together([fields["images"] for fields in several], cells)}


def first_shapes(preprocessing: Geometry, inputs: Inputs) -> Iterator[tuple[int, ...] | None]:
    """(3, h, w) of files, and of images in memory that are not of the wanted size.

    Not of a data set of the user's own, which may give another image each time.
    """
    for index in range(len(inputs)):
        have = extent_of(inputs, index)
        want = resized_size(have, preprocessing)[1] if have else None
        is_kept = want == have and isinstance(source_of(inputs, index)[0], ArrayImages)
        yield (3, *want) if want and not is_kept else None


def frame(preprocessing: Geometry, inputs: Inputs, index: int) -> Frame | None:
    """Of files, and of images in memory."""
    size = extent_of(inputs, index)
    return evaluation_frame(size, preprocessing) if size else None


def each(given: Picture | Iterable[Picture]) -> Iterator[Image.Image | Tensor]:
    """An array is one image, unless it has four dimensions (n, h, w, c).

    Raises: UserError for a file that cannot be read, or a tensor or array that holds no image.
    """
    one_array = isinstance(given, np.ndarray) and given.ndim != 4
    for one in [given] if one_array or isinstance(given, str | Path | Image.Image | Tensor) else given:
        yield load_image(one) if isinstance(one, str | Path) else pixels(one)


def listed(inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
    """The images that `files` finds, and its warnings."""
    found, warnings = files(inputs)
    return [Unread({"file": printable(path)}, partial(load_image, path)) for path in found], warnings


def files(inputs: str | Sequence[str]) -> tuple[list[Path], tuple[str, ...]]:
    """The files that FILES, a FOLDER or a GLOB name, in the order given, folders and globs sorted; and warnings.

    In a folder only files with a suffix of image_suffixes are taken, hidden ones never; the others are warned of.
    Raises: UserError for an input that names nothing.
    """
    found: list[Path] = []
    warnings: tuple[str, ...] = ()
    for text in [inputs] if isinstance(inputs, str) else inputs:
        path = Path(text)
        if path.is_dir():
            these, others = image_files(path)
            if others and not these:
                raise UserError(f"input={text}: names no image: {unreadable(others)}; accepted are {USUAL} and others")
            warnings += skipped(others)
        elif path.exists() or not glob.has_magic(text):
            these = [path]
        else:
            these = [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if p.is_file()]
        if not these:
            raise UserError(f"input={text}: names no image; give files, a folder or a glob such as 'photos/*.jpg'")
        found += these
    return found, warnings


def seen(preprocessing: Geometry, image: Tensor) -> Image.Image:
    """A network's input (c, h, w) with its normalisation undone; of a small one each pixel stays a square."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    found = tvf.to_pil_image((image * std + mean).clamp(0, 1))
    return ImageOps.scale(found, max(1, LONGEST // max(found.size)), Image.Resampling.NEAREST)


def thumbnail(raw: Any, longest: int = LONGEST) -> Image.Image:
    """A copy of a raw image, `longest` pixels on its longer side."""
    image = raw if isinstance(raw, Image.Image) else tvf.to_pil_image(raw)
    return ImageOps.contain(image, (longest, longest))
