"""How an image becomes a network's input. What acts on pixels is in pictures.py, imported when it is needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from ftlab.batch import Fields
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Inputs, Transform, Unread


@dataclass(frozen=True)
class Preprocessing(InputPreprocessing):
    """Of images. What acts on pixels is in pictures.py, imported when it is needed: it imports this file."""

    kind: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"
    pixels: ClassVar[bool] = True
    loading: ClassVar[tuple[str, ...]] = ("image_size", "crop_pct")

    size: tuple[int, int]  # height, width in pixels
    mean: tuple[float, ...]  # of each channel, pixels scaled to 0..1
    std: tuple[float, ...]
    interpolation: str = "bicubic"  # nearest | bilinear | bicubic
    crop_pct: float = 1.0  # the image is resized to size / crop_pct, then its centre is cut out

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
        return f"{self.size[0]} x {self.size[1]} pixels, normalisation undone"

    def builds(self) -> dict[str, Any]:
        return {"image_size": list(self.size)}

    def blank(self) -> Fields:
        return {"images": torch.zeros(3, *self.size)}

    def summary(self) -> str:
        return f"images of {self.size[0]} x {self.size[1]} pixels"

    @classmethod
    def asks(cls, loading: Mapping[str, Any]) -> dict[str, Any]:
        return {"image_size": loading.get("image_size")}

    def told(self, loading: Mapping[str, Any]) -> "Preprocessing":
        """Of another size or crop, where the data option sets them."""
        size, crop_pct = loading.get("image_size"), loading.get("crop_pct")
        sized = self if size is None else replace(self, size=(size, size) if isinstance(size, int) else tuple(size))
        return sized if crop_pct is None else replace(sized, crop_pct=crop_pct)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Preprocessing":
        return cls(
            size=(stored["size"][0], stored["size"][1]),
            mean=tuple(stored["mean"]),
            std=tuple(stored["std"]),
            interpolation=stored["interpolation"],
            crop_pct=stored["crop_pct"],
        )

    def first_shapes(self, inputs: "Inputs") -> Iterator[tuple[int, ...] | None]:
        from ftlab.inputs.images.pictures import first_shapes

        return first_shapes(self, inputs)

    def first_key(self) -> tuple[Any, ...]:
        from ftlab.inputs.images.pictures import VERSIONS

        return (self.size, self.crop_pct, self.interpolation, *VERSIONS)
