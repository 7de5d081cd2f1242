"""Image files to RGB pixels, and the sequences of images that samples hold.

Shapes: n images, h height, w width.
"""

import os
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ftlab.errors import UserError
from ftlab.files.folders import not_there
from ftlab.files.image_suffixes import image_suffixes
from ftlab.files.paths import printable
from ftlab.frames import Size, Window
from ftlab.inputs.base import Inputs
from ftlab.inputs.views import Joined, Selected

ORIENTATION = 0x0112  # the tag of EXIF
TURNED = (5, 6, 7, 8)  # by 90 degrees, mirrored or not
KEPT = 2**28  # bytes of images that stay decoded, since their other tiles are asked for next
# What is decoded of those whom nobody knows: Pillow would start Ghostscript for a page of PostScript.
FROM_ANYONE = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MODES_WITH_ALPHA = frozenset(("RGBA", "RGBa", "LA", "La", "PA"))


@dataclass(frozen=True)
class Range:
    """The least and the greatest value of an image, of 0 to `most`."""

    least: int
    greatest: int
    most: int

    @property
    def narrow(self) -> bool:
        """Whether the network sees next to nothing: 14 bits or fewer of 16, or 4 or fewer of 8 (masks of 0 and 1)."""
        return self.greatest * (4 if self.most > 255 else 16) <= self.most

    def __str__(self) -> str:
        return f"{self.least} to {self.greatest} of {self.most}"


def load_image(path: str | os.PathLike[str]) -> Image.Image:
    """As `load_ranged`, the image alone."""
    return load_ranged(path)[0]


def load_ranged(path: str | os.PathLike[str]) -> tuple[Image.Image, Range | None]:
    """The image of a file as RGB, upright as its EXIF orientation says; and what `ranged_rgb` says of its values.

    16-bit values are scaled, transparent parts are shown on white.
    Raises: UserError, naming the file, if it cannot be decoded to its end or is too large to be one image.
    """
    try:
        return _decoded(path, f"{printable(path)}: ", _no_picture(Path(path)))
    except FileNotFoundError as error:
        raise UserError(not_there(Path(path))) from error


def image_of(content: bytes, most: int) -> Image.Image:
    """The image of a file's content, which came from anyone, as `load_image` gives it.

    most: pixels of an image that is decoded. Raises: UserError if it cannot be decoded, or is larger.
    """
    Image.init()
    formats = tuple(name for name in FROM_ANYONE if name in Image.OPEN)  # Pillow may be built without one of them
    size = _size(BytesIO(content), formats)
    if size and size[0] * size[1] > most:
        raise UserError(f"the image is too large: {size[1]:,} x {size[0]:,} pixels; at most {most:,} are accepted.")
    return _decoded(BytesIO(content), "", "not a readable image (its content is of no known format).", formats)[0]


def _decoded(
    source: Any, name: str, unknown: str, formats: tuple[str, ...] | None = None
) -> tuple[Image.Image, Range | None]:
    """What `load_ranged` gives, of a path or a stream. name: with what messages begin; unknown: what is said of a
    content that is no image."""
    try:
        with warnings.catch_warnings():
            # A 21 kB file can ask for 0.8 GB; Pillow only warns between one and two times its limit.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as image:
                return ranged_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"at most {Image.MAX_IMAGE_PIXELS:,} pixels are accepted"
        raise UserError(f"{name}the image is too large ({limit}); scale it down or remove it.") from error
    except UserError as error:
        raise UserError(f"{name}{error}") from error
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{name}{unknown}") from error
    except (
        Exception
    ) as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, IndexError, ...
        said = str(error).replace(" " + repr(os.fspath(source)), "") if isinstance(source, str | os.PathLike) else error
        reason = str(said) or type(error).__name__
        raise UserError(f"{name}not a readable image ({reason}): replace or remove it.") from error


def _no_picture(path: Path) -> str:
    """What is said of a file that no decoder knows."""
    if path.suffix and path.suffix.lower() not in image_suffixes():
        return f"not a readable image: its content is none, and {path.suffix} is no suffix of images."
    return "not a readable image (its content is of no known format): replace or remove it."


def image_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(height, width) of what `load_image` gives, by the head of the file; None where that says nothing."""
    return _size(path)


def _size(source: Any, formats: tuple[str, ...] | None = None) -> tuple[int, int] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as image:
                width, height = image.size
                turned = image.getexif().get(ORIENTATION, 1) in TURNED
    except Exception:  # see load_image, which says what is wrong with it when it is its turn
        return None
    return (width, height) if turned else (height, width)


def rgb(image: Image.Image) -> Image.Image:
    """As `ranged_rgb`, the image alone."""
    return ranged_rgb(image)[0]


def ranged_rgb(image: Image.Image) -> tuple[Image.Image, Range | None]:
    """Any Pillow image as RGB: 16-bit grey scaled to 8 bit, transparency composed on white.

    With the range of its values where they had to be scaled; else those of the RGB image are its own.
    Raises: UserError for pixels without a known range (32-bit).
    """
    found = None
    if image.mode.startswith("I"):
        image, found = _eight_bits(image)
    if image.mode == "F":
        here = "here {:g} to {:g}".format(*image.getextrema())
        raise UserError(f"pixels are 32-bit floats of unknown range ({here}); save it with 8 or 16 bits.")
    if image.mode in MODES_WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB"), found
    return image.convert("RGB"), found


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Range]:
    values = np.asarray(image).astype(np.int64)
    found = Range(int(values.min()), int(values.max()), 65535)
    if found.least < 0 or found.greatest > found.most:
        raise UserError("pixels are 32-bit integers of unknown range; save it with 8 or 16 bits.")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)), found  # 65535 / 255 = 257


class ImageFiles:
    """Image files that are decoded on access, as RGB Pillow images."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = [os.fspath(path) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return load_image(self.paths[index])

    def extent(self, index: int) -> Size | None:
        return image_size(self.paths[index])


class ArrayImages:
    """Images in memory, uint8 (n, h, w) grey or (n, h, w, 3) colour; on access a uint8 tensor (3, h, w)."""

    def __init__(self, array: np.ndarray) -> None:
        if array.dtype != np.uint8 or array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
            raise UserError(
                f"images are {array.dtype} of shape {array.shape}; accepted: uint8 of (n, h, w) or (n, h, w, 3)."
            )
        channels_first = array[:, None] if array.ndim == 3 else array.transpose(0, 3, 1, 2)
        self.pixels = torch.from_numpy(channels_first)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index].expand(3, -1, -1)

    def extent(self, index: int) -> Size:
        return self.pixels.shape[-2], self.pixels.shape[-1]


class TileImages:
    """Tiles of other images, each a window of one of them; the images that were cut last stay decoded."""

    def __init__(self, images: Inputs, places: Sequence[int], windows: Sequence[Window]) -> None:
        """places: which image each window is of."""
        self.images, self.places, self.windows = images, list(places), list(windows)
        self.kept: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Image.Image | Tensor:
        return cut(self._image(self.places[index]), self.windows[index])

    def extent(self, index: int) -> Size:
        window = self.windows[index]
        return window.height, window.width

    def _image(self, place: int) -> Any:
        if place not in self.kept:
            self.kept[place] = self.images[place]
            while len(self.kept) > 1 and sum(map(_bytes, self.kept.values())) > KEPT:
                self.kept.popitem(last=False)
        self.kept.move_to_end(place)
        return self.kept[place]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is decoded, which each process has of its own."""
        return {**self.__dict__, "kept": OrderedDict()}


def cut(image: Image.Image | Tensor, window: Window) -> Image.Image | Tensor:
    """The pixels of a window."""
    top, left, height, width = window
    if isinstance(image, Image.Image):
        return image.crop((left, top, left + width, top + height))
    return image[..., top : top + height, left : left + width]


def _bytes(image: Image.Image | Tensor) -> int:
    return image.width * image.height * 3 if isinstance(image, Image.Image) else image.numel()


def extent_of(inputs: Inputs, index: int) -> Size | None:
    """(height, width) of an image that is not loaded; None where that is not known."""
    own, place = source_of(inputs, index)
    return own.extent(place) if isinstance(own, ImageFiles | ArrayImages | TileImages) else None


def source_of(inputs: Inputs, index: int) -> tuple[Inputs, int]:
    """The inputs of which these are a choice, and the place of one of them there."""
    while isinstance(inputs, Selected | Joined):
        inputs, index = (inputs.inputs, inputs.indices[index]) if isinstance(inputs, Selected) else inputs.at(index)
    return inputs, index


def _channels_last(array: np.ndarray) -> np.ndarray:
    """One image as Pillow takes it: (h, w) or (h, w, c). Raises: UserError where an array is none, or may be two."""
    last = array.ndim == 3 and array.shape[2] in (1, 2, 3, 4)
    first = array.ndim == 3 and array.shape[0] in (1, 3)
    if array.dtype != np.uint8 or 0 in array.shape or (array.ndim != 2 and last == first):
        raise _no_image(array)
    if first:
        array = array.transpose(1, 2, 0)
    return np.ascontiguousarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _no_image(found: Any) -> UserError:
    """The error that says what was given and what is accepted."""
    kind = f"{type(found).__name__} {tuple(getattr(found, 'shape', ()))}"
    of = f" of {found.dtype}" if isinstance(found, np.ndarray) else ""
    accepted = "Pillow, tensor (3, h, w), uint8 array (h, w), (h, w, c) or (3, h, w)"
    return UserError(f"the image is a {kind}{of}; accepted: {accepted}; several as a list, or an array (n, h, w, c).")


def pixels(image: Any) -> Image.Image | Tensor:
    """An RGB Pillow image or a uint8 tensor (3, h, w). Raises: UserError for anything else."""
    if isinstance(image, Image.Image):
        return rgb(image)
    if isinstance(image, np.ndarray):
        return rgb(Image.fromarray(_channels_last(image)))
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] not in (1, 3):
        raise _no_image(image)
    if image.dtype != torch.uint8:
        if not image.is_floating_point() or image.min() < 0 or image.max() > 1:
            raise UserError("the image's values are not 0 to 1; leave normalisation out, the network brings its own.")
        image = (image * 255).round().to(torch.uint8)
    return image.expand(3, -1, -1)
