"""A class at each place, from the coarsest level up to the finest one.

Shapes: b batch, c channels, k outputs, h and w height and width of the finest level.

Source: Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation".
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.heads.dense.layers import convolved


class UNet(Head):
    """Step by step the maps are made twice as large, and joined with the level of that stride where there is one."""

    gives: ClassVar[str] = "maps"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        *,
        strides: Sequence[int] = (4, 8, 16, 32),
        width: int = 64,
    ) -> None:
        """width: channels at the finest stride, twice as many at each coarser one.

        Raises: UserError for strides that do not double.
        """
        super().__init__()
        if any(b != 2 * a for a, b in pairwise(strides)):
            raise UserError(f"head.strides={list(strides)}: each must be twice the one before, for example [4, 8, 16]")
        steps = [stride for stride in reversed(strides) if stride < levels[-1].stride]
        places = {level.stride: place for place, level in enumerate(levels)}
        self.joins = [places.get(stride) for stride in steps]  # the level of each step; None: the backbone has none
        widths = [width * stride // strides[0] for stride in steps]
        inside = [levels[-1].channels, *widths[:-1]]
        beside = [0 if place is None else levels[place].channels for place in self.joins]
        self.steps = nn.ModuleList(
            nn.Sequential(convolved(before + own, wide), convolved(wide, wide))
            for before, own, wide in zip(inside, beside, widths, strict=True)
        )
        self.classifier = nn.Conv2d([levels[-1].channels, *widths][-1], num_outputs, 1)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k, h, w)"""
        maps = features.levels[-1]
        for step, place in zip(self.steps, self.joins, strict=True):
            if place is None:
                maps = step(interpolate(maps, scale_factor=2, mode="nearest"))
            else:
                own = features.levels[place]
                maps = step(torch.cat([interpolate(maps, size=own.shape[-2:], mode="nearest"), own], 1))
        found: Tensor = self.classifier(maps)
        return found
