"""From an image to a network's input: the same for validation, test and prediction, varied at random for training.

Shapes: c channels, h height, w width; (h, w) of the image, of the resized image or of the network's input as named.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as nnf
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tvf

from ftlab.batch import Batch
from ftlab.errors import UserError, choices
from ftlab.frames import Frame, Size
from ftlab.inputs.augment import Augment

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
LONGEST = 4  # a strip of 1 x 20,000 pixels is cut to 4 times what is needed, else it would be resized to gigabytes


class Geometry(Protocol):
    """What of a Preprocessing this file acts by."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...
    @property
    def interpolation(self) -> str: ...
    @property
    def crop_pct(self) -> float: ...


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
    """Resize the shorter side to size / crop_pct (antialiased), cut out the centre, normalise.

    Raises: UserError for an unknown interpolation or a crop_pct outside (0, 1].
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
        if not 0 < preprocessing.crop_pct <= 1:
            raise UserError(f"data.crop_pct={preprocessing.crop_pct}: accepted is above 0, up to 1.")
        self.preprocessing = preprocessing
        self.mean = torch.tensor(preprocessing.mean).view(-1, 1, 1) * 255
        self.std = torch.tensor(preprocessing.std).view(-1, 1, 1) * 255

    def __call__(self, image: Any) -> Tensor:
        return self.then(resized(image, self.preprocessing))

    def then(self, pixels: Tensor) -> Tensor:
        return self.normalise(centre(pixels, self.preprocessing.size))

    def framed(self, pixels: Tensor, raw: Size) -> tuple[Tensor, Frame]:
        return self.then(pixels), self.frame(raw, Movement(self.preprocessing.size))

    def frame(self, raw: Size, movement: "Movement") -> Frame:
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
        self.erase = v2.RandomErasing(p=augment.erasing)  # to 0, the mean colour after normalisation

    def then(self, pixels: Tensor) -> Tensor:
        return self.varied(pixels)[0]

    def framed(self, pixels: Tensor, raw: Size) -> tuple[Tensor, Frame]:
        if count := self.augment.randaugment:
            raise UserError(f"augment.randaugment={count}: its operations do not tell where they move pixels; use 0")
        done, movement = self.varied(pixels)
        return done, self.frame(raw, movement)

    def varied(self, pixels: Tensor) -> tuple[Tensor, "Movement"]:
        if self.augment.randaugment:
            pixels = self.randaugment(pixels)
        movement = draw(self.augment, self.preprocessing.size)
        pixels = self.normalise(movement.act(pixels, self.fill))
        return (self.erase(pixels) if self.augment.erasing else pixels), movement


def resized(image: Any, preprocessing: Geometry) -> Tensor:
    """uint8 (3, h, w) that just covers size / crop_pct, aspect kept."""
    pixels = tvf.pil_to_tensor(image) if isinstance(image, Image.Image) else image
    cut, target = resized_size((pixels.shape[-2], pixels.shape[-1]), preprocessing)
    pixels = tvf.resize_image(
        centre(pixels, cut), list(target), InterpolationMode(preprocessing.interpolation), antialias=True
    )
    # Pillow's pixels lie channel by channel: what follows is six times slower on them (0.77 against 0.13 ms, 224 px).
    return pixels.contiguous()


def resized_size(size: tuple[int, int], preprocessing: Geometry) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of an image of `size` (h, w): what `resized` cuts out of its middle, and the size that it brings this to."""
    height, width = (math.floor(side / preprocessing.crop_pct) for side in preprocessing.size)
    h, w = size
    scale = max(height / h, width / w)
    if max(h * scale / height, w * scale / width) > LONGEST:
        h, w = min(h, math.ceil(LONGEST * height / scale)), min(w, math.ceil(LONGEST * width / scale))
    return (h, w), (max(height, int(h * scale)), max(width, int(w * scale)))


def resized_frame(size: Size, preprocessing: Geometry) -> Frame:
    """Where `resized` brings the places of an image of `size` (h, w)."""
    cut, (height, width) = resized_size(size, preprocessing)
    scale = ((width / cut[1], 0.0, 0.0), (0.0, height / cut[0], 0.0))
    return Movement(cut).frame(size).then(Frame.of(scale, cut, (height, width)))


def centre(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle (c, *size) of pixels (c, h, w)."""
    top, left = corner((pixels.shape[-2], pixels.shape[-1]), size)
    return pixels[..., top : top + size[0], left : left + size[1]]


def corner(have: Size, want: Size) -> tuple[int, int]:
    """Top and left of what `centre` cuts out."""
    return round((have[0] - want[0]) / 2), round((have[1] - want[1]) / 2)


Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Movement:
    """What is drawn of an image's movement, in which it is cut to size too."""

    size: Size
    flip: bool = False
    matrix: Matrix | None = None  # of `inverse_matrix`, with the flip in it; None: what is in the middle is cut out

    def act(self, pixels: Tensor, fill: Tensor | None) -> Tensor:
        """In one interpolation, from what lies beyond the cut too."""
        if self.matrix is not None:
            return affine(pixels, self.matrix, self.size, fill)
        pixels = centre(pixels, self.size)
        return pixels.flip(-1) if self.flip else pixels

    def frame(self, size: Size) -> Frame:
        """Where `act` brings the places of pixels of `size` (h, w)."""
        (h, w), (height, width) = size, self.size
        if self.matrix is None:
            top, left = corner(size, self.size)
            across = (-1.0, 0.0, float(width + left)) if self.flip else (1.0, 0.0, float(-left))
            return Frame.of((across, (0.0, 1.0, float(-top))), size, self.size)
        (a, b, x), (c, d, y) = self.matrix  # from the middle of the result to that of the pixels
        back = (a, b, x + w / 2 - (a * width + b * height) / 2), (c, d, y + h / 2 - (c * width + d * height) / 2)
        return Frame.of(back, self.size, size).inverse()


def draw(augment: Augment, size: Size) -> Movement:
    """A random Movement within the ranges of `augment`, by torch's generator."""
    flip = bool(torch.rand(()) < augment.horizontal_flip)
    return Movement(size, flip, draw_matrix(augment, size, flip) if augment.moves else None)


def draw_matrix(augment: Augment, size: tuple[int, int], flip: bool) -> Matrix:
    """A random `inverse_matrix` within the ranges of `augment`; uses five numbers of torch's generator."""
    rotation, down, right, shear, zoom = (2 * torch.rand(5) - 1).tolist()
    return inverse_matrix(
        rotation=augment.rotation * rotation,
        shift=(augment.shift * right * size[1], augment.shift * down * size[0]),
        shear=augment.shear * shear,
        scale=1 + augment.zoom * zoom,
        flip=flip,
    )


def inverse_matrix(rotation: float, shift: tuple[float, float], shear: float, scale: float, flip: bool) -> Matrix:
    """Where a point (x, y, 1) of the result comes from, in pixels from the centre, y downwards.

    The image is flipped, sheared (x += shear * y), rotated (degrees, clockwise as seen), scaled, then shifted (x, y).
    """
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    sign = -1 if flip else 1
    a, b = sign * (cos + shear * sin) / scale, sign * (sin - shear * cos) / scale
    c, d = -sin / scale, cos / scale
    x, y = shift
    return (a, b, -a * x - b * y), (c, d, -c * x - d * y)


def affine(pixels: Tensor, matrix: Matrix, size: tuple[int, int], fill: Tensor | None) -> Tensor:
    """float32 (c, *size) out of pixels (c, h, w), bilinear; beyond the border `fill` (c, 1, 1), or the edge if None."""
    (h, w), (height, width) = pixels.shape[-2:], size
    (a, b, x), (c, d, y) = matrix
    # affine_grid counts from -1 to 1 over each side, of the result on the right and of the image on the left.
    theta = torch.tensor([[[a * width / w, b * height / w, 2 * x / w], [c * width / h, d * height / h, 2 * y / h]]])
    grid = nnf.affine_grid(theta, [1, 1, height, width], align_corners=False)
    source = pixels.float() if fill is None else pixels - fill  # zeros beyond the border are then `fill`
    beyond = "border" if fill is None else "zeros"
    moved = nnf.grid_sample(source[None], grid, mode="bilinear", padding_mode=beyond, align_corners=False)[0]
    return moved if fill is None else moved + fill


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
