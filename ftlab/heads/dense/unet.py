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

ENOUGH = 256  # channels of size 1, with which a classifier is sure of a class after some dozen steps


class UNet(Head):
    """Step by step the maps are made twice as large, and joined with the level of that stride where there is one."""

    gives: ClassVar[str] = "maps"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        *,
        strides: Sequence[int] = (2, 4, 8, 16),
        width: int = 16,
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
        if widths:
            self._hasten(widths[-1])

    def _hasten(self, width: int) -> None:
        """Let a step move the outputs of few channels as far as those of ENOUGH, beginning with equal chances.

        An optimizer that moves each weight by about its rate moves an output by as many rates as it has inputs, times
        their size; with 16 channels and a rate for a thousand of them it would take all epochs to be sure of anything.
        """
        size = max(1.0, ENOUGH / width)
        norms = [layer for layer in self.steps.modules() if isinstance(layer, nn.GroupNorm)]
        nn.init.constant_(norms[-1].weight, size)
        nn.init.normal_(self.classifier.weight, std=0.01 / size)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]  # it has one

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
