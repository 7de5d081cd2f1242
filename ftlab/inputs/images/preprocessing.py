"""How an image becomes a network's input. What acts on pixels is in pictures.py, imported when it is needed."""

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Window
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import Cutter, InputPreprocessing, Inputs, Transform, Unread
from ftlab.inputs.images.tiles import check, windows
from ftlab.inputs.sent import Most

OVERLAP = 0.2  # of tiles in predictions, where the data were cut into tiles that say nothing of it


def from_base64(given: Any) -> bytes:
    """Raises: UserError for what holds no file."""
    try:
        return b64decode(given.partition(",")[2] if given.startswith("data:") else given, validate=True)
    except (AttributeError, ValueError):
        raise UserError("an image in JSON is a text, the image file in base64 or a data: address of it") from None


@dataclass(frozen=True)
class Preprocessing(InputPreprocessing):
    """Of images. What acts on pixels is in pictures.py, imported when it is needed: it imports this file."""

    kind: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"
    pixels: ClassVar[bool] = True
    loading: ClassVar[tuple[str, ...]] = ("image_size", "crop_pct", "resize", "tile", "tile_overlap")

    size: tuple[int, int]  # height, width in pixels
    mean: tuple[float, ...]  # of each channel, pixels scaled to 0..1
    std: tuple[float, ...]
    interpolation: str = "bicubic"  # nearest | bilinear | bicubic
    crop_pct: float = 1.0  # the image is resized to size / crop_pct, then its centre is cut out
    resize: str = (
        "crop"  # or letterbox: it fits into size, or stretch: both sides become size; crop_pct is 1 with these
    )
    tile: int | None = None  # pixels of the sides of the tiles that a larger image is cut into before
    tile_overlap: float = 0.0  # share of a tile that two neighbours have in common at least

    def transform(self, augment: Augment | None = None) -> Transform:
        from ftlab.inputs.images.pictures import PictureTransform

        return PictureTransform(self, augment)

    def each(self, given: Any) -> Iterator[Any]:
        from ftlab.inputs.images.pictures import each

        return each(given)

    def received(self, given: Any, most: Most) -> Any:
        """Of the bytes of an image file, in JSON as base64."""
        from ftlab.inputs.images.files import image_of

        return image_of(given if isinstance(given, bytes) else from_base64(given), most.pixels)

    def form(self) -> dict[str, Any]:
        return {"kind": "image"}

    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        from ftlab.inputs.images.pictures import listed

        return listed(inputs)

    def shown(self, raw: Any) -> dict[str, Any]:
        from ftlab.inputs.images.pictures import thumbnail

        return {"image": thumbnail(raw)}

    def seen(self, fields: Fields) -> dict[str, Any]:
        from ftlab.inputs.images.pictures import seen

        return {"image": seen(self, fields["images"])}

    @property
    def seen_as(self) -> str:
        return f"{self._sized}, normalisation undone"

    def builds(self) -> dict[str, Any]:
        return {"image_size": list(self.size)}

    def blank(self) -> Fields:
        return {"images": torch.zeros(3, *self.size)}

    @classmethod
    def cutter(cls, loading: Mapping[str, Any]) -> Cutter:
        """None of a source that cuts by itself, whose option has no data.tile_overlap."""
        tile, overlap = loading.get("tile"), loading.get("tile_overlap")
        if tile is None or overlap is None:
            return super().cutter(loading)
        check(tile, overlap)
        return partial(windows, tile=tile, overlap=overlap)

    def windows(self, extent: Size) -> list[Window] | None:
        return None if self.tile is None else windows(extent, self.tile, self.tile_overlap)

    def cut(self, raw: Any, window: Window) -> Any:
        from ftlab.inputs.images.files import cut

        return cut(raw, window)

    def summary(self) -> str:
        cut = "" if self.tile is None else f", in tiles of {self.tile} pixels"
        return f"images of {self._sized}{cut}"

    @property
    def _sized(self) -> str:
        way = "" if self.resize == "crop" else f" ({self.resize})"
        return f"{self.size[0]} x {self.size[1]} pixels{way}"

    @classmethod
    def asks(cls, loading: Mapping[str, Any]) -> dict[str, Any]:
        return {"image_size": loading.get("image_size")}

    def told(self, loading: Mapping[str, Any]) -> "Preprocessing":
        """Of another size, crop or way of resizing, and cut into tiles, where the data option sets them.

        Raises: UserError for a share that is cropped where nothing is, or for tiles that are none.
        """
        size, crop_pct, resize, tile, overlap = (loading.get(key) for key in self.loading)
        if tile is not None:
            check(tile, overlap := OVERLAP if overlap is None else overlap)
            return replace(self, tile=tile, tile_overlap=overlap).told({**loading, "tile": None})
        sized = self if size is None else replace(self, size=(size, size) if isinstance(size, int) else tuple(size))
        if resize in (None, "crop"):
            return sized if crop_pct is None else replace(sized, crop_pct=crop_pct)
        if crop_pct not in (None, 1):
            raise UserError(f"data.crop_pct={crop_pct}: is read with data.resize=crop only; leave it null or 1")
        return replace(sized, crop_pct=1.0, resize=resize)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Preprocessing":
        return cls(
            size=(stored["size"][0], stored["size"][1]),
            mean=tuple(stored["mean"]),
            std=tuple(stored["std"]),
            interpolation=stored["interpolation"],
            crop_pct=stored["crop_pct"],
            resize=stored.get("resize", "crop"),  # bundles of before there was another way lack it
            tile=stored.get("tile"),
            tile_overlap=stored.get("tile_overlap", 0.0),
        )

    def frame(self, inputs: "Inputs", index: int) -> Frame | None:
        from ftlab.inputs.images.pictures import frame

        return frame(self, inputs, index)

    def first_shapes(self, inputs: "Inputs") -> Iterator[tuple[int, ...] | None]:
        from ftlab.inputs.images.pictures import first_shapes

        return first_shapes(self, inputs)

    def first_key(self) -> tuple[Any, ...]:
        from ftlab.inputs.images.pictures import VERSIONS

        return (self.size, self.crop_pct, self.resize, self.interpolation, *VERSIONS)
