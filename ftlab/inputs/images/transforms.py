"""From an image to a network's input: the same for validation, test and prediction, varied at random for training.

Shapes: c channels, h height, w width; (h, w) of the image, of the resized image or of the network's input as named.
"""

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from ftlab.batch import Batch
from ftlab.errors import UserError, choices
from ftlab.frames import Frame, Size
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.geometry import Geometry, centre, padded, resized, resized_frame
from ftlab.inputs.images.movement import Movement, draw

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
RESIZES = ("crop", "letterbox", "stretch")


class ImageTransform(Protocol):
    """An image (RGB Pillow image or uint8 tensor (3, h, w)) to float32 (3, h, w); draws from torch's generator only."""

    random: bool  # False: always the same result, no need to seed

    def __call__(self, image: Any, /) -> Tensor: ...

    def then(self, pixels: Tensor, /) -> Tensor:
        """What is left to do with an image that is `resized`; it is not changed."""

    def framed(self, pixels: Tensor, raw: Size, /) -> tuple[Tensor, Frame]:
        """`then`, and where the places of the image went, which was of the size `raw` (h, w) before it was resized.

        Raises: UserError for an augmentation that cannot tell it.
        """


def evaluation_transform(preprocessing: Geometry) -> ImageTransform:
    """Resize (antialiased), then normalise. crop: the shorter side to size / crop_pct, and the centre is cut out;
    letterbox: the longer side to size, and the mean colour around it; stretch: both sides to size.

    Raises: UserError for an unknown interpolation or resize, or a crop_pct outside (0, 1].
    """
    return _Evaluation(preprocessing)


def training_transform(preprocessing: Geometry, augment: Augment) -> ImageTransform:
    """The evaluation's transform with the variations of `augment` for single images (mixing: see `mix`)."""
    return _Training(preprocessing, augment) if augment.random else _Evaluation(preprocessing)


class _Evaluation:
    random = False

    def __init__(self, preprocessing: Geometry) -> None:
        if preprocessing.interpolation not in INTERPOLATIONS:
            name = preprocessing.interpolation
            raise UserError(f"interpolation '{name}' is unknown; {choices(name, INTERPOLATIONS)}")
        if preprocessing.resize not in RESIZES:
            raise UserError(f"data.resize={preprocessing.resize}: unknown; {choices(preprocessing.resize, RESIZES)}")
        if not 0 < preprocessing.crop_pct <= 1:
            raise UserError(f"data.crop_pct={preprocessing.crop_pct}: accepted is above 0, up to 1.")
        self.preprocessing = preprocessing
        self.mean = torch.tensor(preprocessing.mean).view(-1, 1, 1) * 255
        self.std = torch.tensor(preprocessing.std).view(-1, 1, 1) * 255

    def __call__(self, image: Any) -> Tensor:
        return self.then(resized(image, self.preprocessing))

    def then(self, pixels: Tensor) -> Tensor:
        return self.normalise(centre(padded(pixels, self.preprocessing), self.preprocessing.size))

    def framed(self, pixels: Tensor, raw: Size) -> tuple[Tensor, Frame]:
        return self.then(pixels), self.frame(raw, Movement(self.preprocessing.size))

    def frame(self, raw: Size, movement: Movement) -> Frame:
        resize = resized_frame(raw, self.preprocessing)
        height, width = resize.size.tolist()
        return resize.then(movement.frame((height, width)))

    def normalise(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean).div_(self.std)


class _Training(_Evaluation):
    random = True

    def __init__(self, preprocessing: Geometry, augment: Augment) -> None:
        super().__init__(preprocessing)
        self.augment = augment
        colours = {"black": torch.zeros_like(self.mean), "white": torch.full_like(self.mean, 255)}
        self.fill = None if augment.fill == "edge" else colours.get(augment.fill, self.mean)
        self.randaugment = v2.RandAugment(
            num_ops=augment.randaugment,
            magnitude=augment.randaugment_magnitude,
            interpolation=InterpolationMode.BILINEAR,
            fill=(self.mean if self.fill is None else self.fill).flatten().tolist(),
        )
        self.colours = v2.ColorJitter(augment.brightness, augment.contrast, augment.saturation)
        self.erase = v2.RandomErasing(p=augment.erasing)  # to 0, the mean colour after normalisation

    def then(self, pixels: Tensor) -> Tensor:
        return self.varied(pixels)[0]

    def framed(self, pixels: Tensor, raw: Size) -> tuple[Tensor, Frame]:
        if count := self.augment.randaugment:
            raise UserError(f"augment.randaugment={count}: its operations do not tell where they move pixels; use 0")
        done, movement = self.varied(pixels)
        return done, self.frame(raw, movement)

    def varied(self, pixels: Tensor) -> tuple[Tensor, Movement]:
        if self.augment.randaugment:
            pixels = self.randaugment(pixels)
        if self.augment.colours:
            pixels = self.colours(pixels)
        pixels = padded(pixels, self.preprocessing)
        movement = draw(self.augment, (pixels.shape[-2], pixels.shape[-1]), self.preprocessing.size)
        pixels = self.normalise(movement.act(pixels, self.fill))
        return (self.erase(pixels) if self.augment.erasing else pixels), movement


def mix(batch: Batch, augment: Augment, num_classes: int | None) -> Batch:
    """MixUp or CutMix of a batch, one of the two at random if both are on.

    Targets of `num_classes` classes become float (b, k), others (None) are mixed as they are.

    Draws from torch's global generator; the caller seeds it by the step. Sources: Zhang et al. 2018
    (arXiv:1710.09412), Yun et al. 2019 (arXiv:1905.04899).
    """
    ways = [way for way, alpha in ((v2.MixUp, augment.mixup), (v2.CutMix, augment.cutmix)) if alpha]
    if not ways or "images" not in batch.inputs:
        return batch
    way = ways[int(torch.randint(len(ways), ()))]
    alpha = augment.mixup if way is v2.MixUp else augment.cutmix
    images, targets = way(alpha=alpha, num_classes=num_classes)(batch.inputs["images"], batch.targets)
    return replace(batch, inputs={**batch.inputs, "images": images}, targets=targets)
