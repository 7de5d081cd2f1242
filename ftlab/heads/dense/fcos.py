"""A box from each place near the middle of an object: how far its four sides are.

Shapes: b batch, p places of all levels, k classes, m boxes of one image.

Source: Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection", with the sampling of middles and the
generalized IoU of its later versions.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.heads.base import Head
from ftlab.heads.dense.boxes import (
    IGNORED,
    NONE,
    PRIOR,
    answer,
    best,
    box_loss,
    by_place,
    class_loss,
    extent,
    middles,
    rows_of,
    tower,
)
from ftlab.heads.dense.pyramid import Pyramid
from ftlab.targets.ragged import Parts, Ragged


class Points(NamedTuple):
    """BoxOutputs of places."""

    logits: Tensor  # (b, p, k)
    sides: Tensor  # (b, p, 4) how far left, top, right and bottom are, in pixels
    centred: Tensor  # (b, p) logits of how near to the middle of its object a place is
    places: Tensor  # (p, 2) x and y
    near: Tensor  # (p,) pixels, within which a place is near to the middle of an object
    reach: Tensor  # (p, 2) pixels, between which the farthest side of an object lies that the level is for
    sizes: Tensor  # (b, 2) height and width of the images

    @property
    def boxes(self) -> Tensor:
        """(b, p, 4)"""
        return torch.cat([self.places - self.sides[..., :2], self.places + self.sides[..., 2:]], -1)

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        matched = torch.stack([self.match(one) for one in targets.samples()])
        there, true = matched >= 0, targets.rows["boxes"][rows_of(matched, targets)]
        places = self.places.expand(len(matched), -1, -1)[there]
        middle = centredness(torch.cat([places - true[:, :2], true[:, 2:] - places], 1))
        total = class_loss(self.logits, matched, targets) + box_loss(self.boxes, matched, targets)
        total = total + binary_cross_entropy_with_logits(self.centred[there], middle, reduction="sum")
        return total, there.sum().to(total)

    def match(self, one: Parts) -> Tensor:
        """(p,) the smallest of the boxes that a place is near the middle of, and whose size its level is for."""
        boxes, crowd = one["boxes"], one["crowd"]
        if not len(boxes):
            return torch.full_like(self.near, NONE, dtype=torch.int64)
        sides = torch.cat([self.places[:, None] - boxes[:, :2], boxes[:, 2:] - self.places[:, None]], -1)  # (p, m, 4)
        inside, farthest = sides.amin(-1) > 0, sides.amax(-1)
        off = (self.places[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(-1)
        suits = (farthest > self.reach[:, :1]) & (farthest <= self.reach[:, 1:]) & (off < self.near[:, None])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        least, matched = torch.where(inside & suits & ~crowd, areas, math.inf).min(1)
        matched[least.isinf()] = NONE
        matched[least.isinf() & (inside & crowd).any(1)] = IGNORED
        return matched

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        scores = (self.logits.sigmoid() * self.centred.sigmoid()[..., None]).sqrt()
        parts = zip(self.boxes, scores, self.sizes, strict=True)
        return [best(*one, threshold, overlap, most) for one in parts]


class Fcos(Head):
    """Towers over a pyramid that all of its levels share; a level is for objects of its own range of sizes."""

    gives = "boxes"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        strides: Sequence[int] = (8, 16, 32),
        width: int = 128,
        depth: int = 2,
        radius: float = 1.5,
        reach: float = 8.0,
    ) -> None:
        """Raises: UserError for strides that do not double."""
        super().__init__()
        self.radius, self.reach, self.num_outputs = radius, reach, num_outputs
        self.pyramid = Pyramid(levels, strides, width)
        self.class_tower, self.box_tower = tower(width, depth), tower(width, depth)
        self.classes = answer(width, num_outputs, PRIOR)
        self.sides = answer(width, 4)
        self.centred = answer(width, 1)

    def forward(self, features: Features, batch: Batch) -> Points:
        maps = self.pyramid(features.levels)
        sizes, size = extent(batch)
        classes, boxes = [self.class_tower(one) for one in maps], [self.box_tower(one) for one in maps]
        strides, reach = self.ranges(maps)
        return Points(
            by_place([self.classes(one) for one in classes], self.num_outputs),
            softplus(by_place([self.sides(one) for one in boxes], 4)) * strides[:, None],
            by_place([self.centred(one) for one in boxes], 1)[..., 0],
            torch.cat([middles(one, size) for one in maps]),
            self.radius * strides,
            reach,
            sizes,
        )

    def ranges(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of each place the stride (p,) of its level, and `reach` of Points."""
        strides = torch.tensor(self.pyramid.strides, dtype=torch.float32, device=maps[0].device)
        most = torch.cat([self.reach * strides[:-1], strides.new_tensor([math.inf])])
        least = torch.cat([strides.new_zeros(1), most[:-1]])
        level = torch.cat([torch.full_like(one[0, 0].flatten(), n, dtype=torch.int64) for n, one in enumerate(maps)])
        return strides[level], torch.stack([least, most], 1)[level]


def centredness(sides: Tensor) -> Tensor:
    """(n,) of the distances (n, 4) to left, top, right and bottom: 1 in the middle, 0 at the rim."""
    across, down = sides[:, 0::2], sides[:, 1::2]
    return ((across.amin(1) / across.amax(1)) * (down.amin(1) / down.amax(1))).sqrt()
