"""What augmentation moves: an affine map of pixels, drawn at random, done in one interpolation.

Shapes: c channels, h height, w width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from ftlab.frames import Frame, Size
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.geometry import centre, centred

RATIO = 4 / 3  # of the sides of a random crop, as the field has it
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
            cut, mirror = centred(size, self.size), ((-1.0, 0.0, float(width)), (0.0, 1.0, 0.0))
            return cut.then(Frame.of(mirror, self.size, self.size)) if self.flip else cut
        (a, b, x), (c, d, y) = self.matrix  # from the middle of the result to that of the pixels
        back = (a, b, x + w / 2 - (a * width + b * height) / 2), (c, d, y + h / 2 - (c * width + d * height) / 2)
        return Frame.of(back, self.size, size).inverse()


def draw(augment: Augment, have: Size, size: Size) -> Movement:
    """A random Movement of pixels of the size `have` within the ranges of `augment`, by torch's generator."""
    flip = bool(torch.rand(()) < augment.horizontal_flip)
    if not augment.moves:
        return Movement(size, flip)
    matrix = draw_matrix(augment, size, flip)
    return Movement(size, flip, draw_window(augment.crop, have, size, matrix) if augment.crop else matrix)


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


def draw_window(least: float, have: Size, size: Size, matrix: Matrix) -> Matrix:
    """`matrix`, and then the result lies in a random window: `least` to all of the area of `size`, anywhere in pixels
    of the size `have`, its sides out of proportion by up to RATIO, no longer than those of `size`; uses four numbers
    of torch's generator. Source: Szegedy et al. 2015, arXiv:1409.4842.
    """
    area, ratio, down, right = torch.rand(4).tolist()
    share, stretch = least + (1 - least) * area, RATIO ** (2 * ratio - 1)
    across, along = min(1.0, math.sqrt(share * stretch)), min(1.0, math.sqrt(share / stretch))
    (a, b, x), (c, d, y) = matrix
    left, top = (right - 0.5) * max(0.0, have[1] - across * size[1]), (down - 0.5) * max(0.0, have[0] - along * size[0])
    return (across * a, across * b, across * x + left), (along * c, along * d, along * y + top)


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
