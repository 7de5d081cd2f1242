"""The plain head for a class at each place: two convolutions on one level.

Shapes: b batch, k outputs, h and w height and width of the level.

Source: Long et al. 2015, "Fully Convolutional Networks for Semantic Segmentation".
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.ops import Conv2dNormActivation

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.heads.settings import check_dropout


def one_level(name: str, levels: Sequence[Level], strides: Sequence[int]) -> Level:
    """Raises: UserError for a head that was asked for several."""
    if len(strides) != 1:
        raise UserError(f"head.strides={list(strides)}: head={name} reads one level, for example [16]")
    return levels[-1]


class Fcn(Head):
    """torchvision's FCNHead, with a width of its own where one is set."""

    gives: ClassVar[str] = "maps"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        *,
        strides: Sequence[int] = (16,),
        width: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        """Raises: UserError for several levels or a dropout that is no probability."""
        super().__init__()
        channels = one_level("fcn", levels, strides).channels
        check_dropout(dropout)
        if width is None:
            conv, norm, act, _, classifier = FCNHead(channels, num_outputs)
            self.block = nn.Sequential(conv, norm, act)
        else:
            self.block, classifier = Conv2dNormActivation(channels, width, 3), nn.Conv2d(width, num_outputs, 1)
        self.dropout, self.classifier = nn.Dropout(dropout), classifier

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k, h, w)"""
        maps: Tensor = self.classifier(self.dropout(self.block(features.levels[-1])))
        return maps
