"""How an image becomes a network's input. What acts on pixels is in pictures.py, imported when it is needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.frames import Frame
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Inputs, Transform, Unread


@dataclass(frozen=True)
class Preprocessing(InputPreprocessing):
    """Of images. What acts on pixels is in pictures.py, imported when it is needed: it imports this file."""

    kind: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"
    pixels: ClassVar[bool] = True
    loading: ClassVar[tuple[str, ...]] = ("image_size", "crop_pct", "resize")

    size: tuple[int, int]  # height, width in pixels
    mean: tuple[float, ...]  # of each channel, pixels scaled to 0..1
    std: tuple[float, ...]
    interpolation: str = "bicubic"  # nearest | bilinear | bicubic
    crop_pct: float = 1.0  # the image is resized to size / crop_pct, then its centre is cut out
    resize: str = (
        "crop"  # or letterbox: it fits into size, or stretch: both sides become size; crop_pct is 1 with these
    )

    def transform(self, augment: Augment | None = None) -> Transform:
        from ftlab.inputs.images.pictures import PictureTransform

        return PictureTransform(self, augment)

    def each(self, given: Any) -> Iterator[Any]:
        from ftlab.inputs.images.pictures import each

        return each(given)

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

    def summary(self) -> str:
        return f"images of {self._sized}"

    @property
    def _sized(self) -> str:
        way = "" if self.resize == "crop" else f" ({self.resize})"
        return f"{self.size[0]} x {self.size[1]} pixels{way}"

    @classmethod
    def asks(cls, loading: Mapping[str, Any]) -> dict[str, Any]:
        return {"image_size": loading.get("image_size")}

    def told(self, loading: Mapping[str, Any]) -> "Preprocessing":
        """Of another size, crop or way of resizing, where the data option sets them.

        Raises: UserError for a share that is cropped where nothing is.
        """
        size, crop_pct, resize = (loading.get(key) for key in self.loading)
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
