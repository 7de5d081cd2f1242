"""Maps of several strides and one width, out of the levels that a backbone has.

Shapes: b batch, c channels of a level, w width of the pyramid, h and v height and width of a level.

Sources: Lin et al. 2017, "Feature Pyramid Networks for Object Detection"; Li et al. 2022, "Exploring Plain Vision
Transformer Backbones for Object Detection", for a backbone of one stride.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision.ops import FeaturePyramidNetwork

from ftlab.backbones.base import Level
from ftlab.errors import UserError


class Pyramid(nn.Module):
    """`strides` of the maps that it gives, rising, each twice the one before.

    Strides below the backbone's are made by transposed convolutions from its finest level, those above by pooling from
    the coarsest of the pyramid. Levels are mixed from the top down, as a feature pyramid does.
    """

    def __init__(self, levels: Sequence[Level], strides: Sequence[int], width: int) -> None:
        """Raises: UserError for strides that do not double, in a row or among the levels."""
        super().__init__()
        if any(b != 2 * a for a, b in pairwise(strides)) or strides[0] < 1:
            raise UserError(f"head.strides={list(strides)}: each must be twice the one before, for example [8, 16, 32]")
        self.strides = tuple(strides)
        base = levels[0]
        finer = [stride for stride in strides if stride < base.stride]
        self.finer = nn.ModuleList(enlarged(base.channels, base.stride // stride) for stride in finer)
        channels = [
            *(finer_channels(base.channels, base.stride // s) for s in finer),
            *(one.channels for one in levels),
        ]
        self.mixed = FeaturePyramidNetwork(channels, width)
        there = [*finer, *(one.stride for one in levels)]
        if any(b != 2 * a for a, b in pairwise(there)):
            raise UserError(f"head.strides={list(strides)}: none may lack between the backbone's, {there}")
        self.coarser = max(0, (strides[-1] // there[-1]).bit_length() - 1)
        there += [there[-1] * 2**step for step in range(1, self.coarser + 1)]
        self.kept = [there.index(stride) for stride in strides]
        if there[-1] > strides[-1]:
            self.mixed.layer_blocks[-1] = nn.Identity()  # the level is mixed into the finer ones, and is none itself

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """(b, c, h, v) each to (b, w, h, v), one for each of `strides`."""
        given = [*(larger(levels[0]) for larger in self.finer), *levels]
        found = list(self.mixed({str(place): maps for place, maps in enumerate(given)}).values())
        for _ in range(self.coarser):
            found.append(max_pool2d(found[-1], 1, stride=2))
        return [found[place] for place in self.kept]


def enlarged(channels: int, factor: int) -> nn.Sequential:
    """Doubles a map until it is `factor` times as large, with half the channels after each but 32 at least."""
    layers: list[nn.Module] = []
    while factor > 1:
        fewer = max(32, channels // 2)
        layers += [nn.ConvTranspose2d(channels, fewer, 2, stride=2), nn.GroupNorm(1, fewer), nn.GELU()]
        channels, factor = fewer, factor // 2
    return nn.Sequential(*layers)


def finer_channels(channels: int, factor: int) -> int:
    """Channels that `enlarged` gives."""
    while factor > 1:
        channels, factor = max(32, channels // 2), factor // 2
    return channels
