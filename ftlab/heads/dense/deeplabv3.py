"""A class at each place, by convolutions of several reaches on one level.

Shapes: b batch, k outputs, h and w height and width of the level.

Source: Chen et al. 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation".
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.ops import Conv2dNormActivation

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.heads.dense.fcn import one_level


class DeepLabV3(Head):
    """torchvision's ASPP, a convolution and the classifier, as its DeepLabHead."""

    gives: ClassVar[str] = "maps"

    def __init__(
        self,
        levels: Sequence[Level],
        num_outputs: int,
        *,
        strides: Sequence[int] = (16,),
        rates: Sequence[int] = (6, 12, 18),
        width: int = 256,
    ) -> None:
        """Raises: UserError for several levels, or for rates below 1."""
        super().__init__()
        if not rates or min(rates) < 1:
            raise UserError(f"head.rates={list(rates)}: accepted are whole numbers from 1, for example [6, 12, 18]")
        self.aspp = ASPP(one_level("deeplabv3", levels, strides).channels, list(rates), width)
        self.block = Conv2dNormActivation(width, width, 3)
        self.classifier = nn.Conv2d(width, num_outputs, 1)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k, h, w). Raises: UserError for a batch of one in training, whose mean has no variance."""
        if self.training and len(batch) == 1:
            raise UserError("head=deeplabv3: normalises means of images over a batch; use data.batch_size=2 or more")
        maps: Tensor = self.classifier(self.block(self.aspp(features.levels[-1])))
        return maps
