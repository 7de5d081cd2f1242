"""How an image becomes a network's input. What acts on pixels is in pictures.py, imported when it is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Inputs, Transform, Unread


@dataclass(frozen=True)
class Preprocessing(InputPreprocessing):
    """Of images. What acts on pixels is in pictures.py, imported when it is needed: it imports this file."""

    kind: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"

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

    def builds(self) -> dict[str, Any]:
        return {"image_size": list(self.size)}

    def first_shapes(self, inputs: "Inputs") -> Iterator[tuple[int, ...] | None]:
        from ftlab.inputs.images.pictures import first_shapes

        return first_shapes(self, inputs)

    def first_key(self) -> tuple[Any, ...]:
        from ftlab.inputs.images.pictures import VERSIONS

        return (self.size, self.crop_pct, self.interpolation, *VERSIONS)
