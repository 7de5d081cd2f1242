"""A class at each place, by the sum of all maps of a feature pyramid.

Shapes: b batch, k outputs, h and w height and width of the finest level.

Source: Kirillov et al. 2019, "Panoptic Feature Pyramid Networks".
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.heads.base import Head
from ftlab.heads.dense.layers import convolved
from ftlab.heads.dense.pyramid import Pyramid
from ftlab.heads.settings import check_dropout


class Fpn(Head):
    """A convolution on each map of the pyramid; their sum, at the finest stride, is classified place by place."""

    gives: ClassVar[str] = "maps"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        *,
        strides: Sequence[int] = (4, 8, 16, 32),
        width: int = 128,
        dropout: float = 0.1,
    ) -> None:
        """Raises: UserError for strides that do not double or a dropout that is no probability."""
        super().__init__()
        self.pyramid = Pyramid(levels, strides, width)
        self.blocks = nn.ModuleList(convolved(width, width) for _ in strides)
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.classifier = nn.Conv2d(width, num_outputs, 1)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k, h, w)"""
        found = [block(maps) for block, maps in zip(self.blocks, self.pyramid(features.levels), strict=True)]
        size = found[0].shape[-2:]
        larger = [found[0], *(interpolate(maps, size=size, mode="bilinear") for maps in found[1:])]
        maps: Tensor = self.classifier(self.dropout(torch.stack(larger).sum(0)))
        return maps
