"""Anchors of several sizes and shapes at each place of a pyramid.

Shapes: b batch, p anchors of all levels, k classes, a anchors of a place.

Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", with the generalized IoU as the loss of boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.heads.base import Head
from ftlab.heads.dense import anchors as anchored
from ftlab.heads.dense.boxes import IGNORED, NONE, PRIOR, answer, by_place, covered, extent, middles, tower
from ftlab.heads.dense.pyramid import Pyramid
from ftlab.targets.ragged import Parts, Ragged

# IoU from which an anchor is of a box, and below which of none; the best anchors of a box are of it with any.
MATCHER = Matcher(0.5, 0.4, allow_low_quality_matches=True)


class Anchors(NamedTuple):
    """BoxOutputs of anchors."""

    logits: Tensor  # (b, p, k)
    codes: Tensor  # (b, p, 4)
    anchors: Tensor  # (p, 4)
    sizes: Tensor  # (b, 2) height and width of the images

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        matched = torch.stack([match(self.anchors, one) for one in targets.samples()])
        return anchored.losses(self.logits, anchored.decoded(self.codes, self.anchors), matched, targets)

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        boxes = anchored.decoded(self.codes, self.anchors)
        return anchored.found(self.logits, boxes, self.sizes, threshold, overlap, most)


def match(anchors: Tensor, one: Parts) -> Tensor:
    """(p,) the box that each anchor overlaps most, as MATCHER says, NONE, or IGNORED between and in crowds."""
    single = torch.where(~one["crowd"])[0]
    overlaps = box_iou(one["boxes"][single], anchors)
    touched = (overlaps > 0).any(1)  # of a box that no anchor touches the best one is every anchor
    single, overlaps = single[touched], overlaps[touched]
    if len(single):
        places = MATCHER(overlaps)
        matched = torch.where(places >= 0, single[places.clamp(min=0)], places)  # its numbers below 0 are ours
    else:
        matched = torch.full_like(anchors[:, 0], NONE, dtype=torch.int64)
    in_crowd = (covered(anchors, one["boxes"][one["crowd"]]) >= anchored.CROWDED).any(1)
    matched[(matched < 0) & in_crowd] = IGNORED
    return matched


class Retinanet(Head):
    """Towers over a pyramid that all of its levels share; sizes of anchors are in strides of their level."""

    gives = "boxes"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        strides: Sequence[int] = (8, 16, 32),
        width: int = 128,
        depth: int = 2,
        scales: Sequence[float] = (2.0, 2.8, 4.0),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
    ) -> None:
        """Raises: UserError for strides that do not double."""
        super().__init__()
        self.num_outputs = num_outputs
        self.pyramid = Pyramid(levels, strides, width)
        self.shapes = AnchorGenerator(
            tuple(tuple(scale * stride for scale in scales) for stride in strides), (tuple(ratios),) * len(strides)
        ).cell_anchors
        count = len(scales) * len(ratios)
        self.class_tower, self.box_tower = tower(width, depth), tower(width, depth)
        self.classes = answer(width, count * num_outputs, PRIOR)
        self.boxes = answer(width, count * 4)

    def forward(self, features: Features, batch: Batch) -> Anchors:
        maps = self.pyramid(features.levels)
        sizes, size = extent(batch)
        there = [
            anchored.around(middles(one, size), shapes.to(one.device))
            for one, shapes in zip(maps, self.shapes, strict=True)
        ]
        return Anchors(
            by_place([self.classes(self.class_tower(one)) for one in maps], self.num_outputs),
            by_place([self.boxes(self.box_tower(one)) for one in maps], 4),
            torch.cat(there),
            sizes,
        )
