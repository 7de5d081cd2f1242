"""Four images in one: each in a quarter, with a corner where the four meet.

Shapes: c channels, h and w height and width of a network's input.

Source: Bochkovskiy et al. 2020, "YOLOv4: Optimal Speed and Accuracy of Object Detection".
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ftlab.frames import Frame, Size, Window
from ftlab.inputs.base import Cell
from ftlab.inputs.images.movement import affine

NEAREST, LEAST = 0.3, 0.5  # to the rim, as a share of a side, where four meet; and how small they are shown at least


def draw_cells(size: Size) -> list[Cell]:
    """Where the four meet, and how large they are shown; uses three numbers of torch's generator."""
    down, across, large = torch.rand(3).tolist()
    height, width = size
    top = round(height * (NEAREST + (1 - 2 * NEAREST) * down))
    left = round(width * (NEAREST + (1 - 2 * NEAREST) * across))
    return cells(size, (top, left), LEAST + (1 - LEAST) * large)


def cells(size: Size, meeting: tuple[int, int], scale: float) -> list[Cell]:
    """meeting: row and column where the four meet; scale: of each image, of the size of the result."""
    (height, width), (top, left) = size, meeting
    found = []
    for low in (False, True):
        for right in (False, True):
            rows, columns = (top, height - top) if low else (0, top), (left, width - left) if right else (0, left)
            window = Window(rows[0], columns[0], rows[1], columns[1])
            # Right of and below the meeting an image begins there, else it ends there.
            x, y = 0.0 if right else left - scale * width, 0.0 if low else top - scale * height
            shown = Frame.of(((scale, 0.0, x), (0.0, scale, y)), size, (window.height, window.width))
            found.append(Cell(window, shown))
    return found


def together(several: Sequence[Tensor], where: Sequence[Cell]) -> Tensor:
    """One (c, h, w) of several normalised ones of this size; the mean colour, which is 0, where none of them lies."""
    whole = torch.zeros_like(several[0])
    for one, cell in zip(several, where, strict=True):
        (a, b, x), (c, d, y) = cell.frame.inverse().matrix.tolist()
        top, left, height, width = cell.window
        h, w = one.shape[-2:]
        x, y = (a * width + b * height - w) / 2 + x, (c * width + d * height - h) / 2 + y  # from middle to middle
        moved = affine(one, ((a, b, x), (c, d, y)), (height, width), torch.zeros(len(one), 1, 1))
        whole[:, top : top + height, left : left + width] = moved
    return whole
