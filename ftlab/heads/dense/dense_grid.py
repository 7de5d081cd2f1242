"""The plain detector of the field's first lessons: each cell of the last maps tells the object whose middle it holds.

Shapes: b batch, p cells, k classes, m boxes of one image.

Source: Redmon et al. 2016, "You Only Look Once", with convolutions in place of its last layers.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.heads.base import Head
from ftlab.heads.dense import anchors as anchored
from ftlab.heads.dense.boxes import IGNORED, NONE, PRIOR, answer, by_place, covered, extent, middles
from ftlab.targets.ragged import Parts, Ragged


class Cells(NamedTuple):
    """BoxOutputs of cells, whose own squares are the anchors."""

    logits: Tensor  # (b, p, k)
    codes: Tensor  # (b, p, 4)
    cells: Tensor  # (p, 4)
    sizes: Tensor  # (b, 2) height and width of the images

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        matched = torch.stack([match(self.cells, one) for one in targets.samples()])
        return anchored.losses(self.logits, anchored.decoded(self.codes, self.cells), matched, targets)

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        boxes = anchored.decoded(self.codes, self.cells)
        return anchored.found(self.logits, boxes, self.sizes, threshold, overlap, most)


def match(cells: Tensor, one: Parts) -> Tensor:
    """(p,) the box whose middle a cell holds, the smallest of several; else NONE, or IGNORED in crowds."""
    boxes, crowd = one["boxes"], one["crowd"]
    if not len(boxes):
        return torch.full_like(cells[:, 0], NONE, dtype=torch.int64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    holds = ((cells[:, None, :2] <= middle) & (middle < cells[:, None, 2:])).all(-1) & ~crowd
    least, matched = torch.where(holds, (boxes[:, 2:] - boxes[:, :2]).prod(1), math.inf).min(1)
    in_crowd = (covered(cells, boxes[crowd]) >= anchored.CROWDED).any(1)
    matched[least.isinf()] = NONE
    matched[least.isinf() & in_crowd] = IGNORED
    return matched


class DenseGrid(Head):
    """Two convolutions, one for classes and one for boxes. Of objects whose middles share a cell one is found."""

    gives = "boxes"

    def __init__(self, levels: Sequence[Level], num_outputs: int, strides: Sequence[int] = (16,)) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.classes = answer(levels[-1].channels, num_outputs, PRIOR)
        self.boxes = answer(levels[-1].channels, 4)

    def forward(self, features: Features, batch: Batch) -> Cells:
        maps, (sizes, size) = features.levels[-1], extent(batch)
        step = maps.new_tensor([size[1] / maps.shape[-1], size[0] / maps.shape[-2]])
        return Cells(
            by_place([self.classes(maps)], self.num_outputs),
            by_place([self.boxes(maps)], 4),
            anchored.around(middles(maps, size), torch.cat([-step, step])[None].float() / 2),
            sizes,
        )
