"""Layers that dense heads share."""

from torch import nn

GROUP = 8  # channels that are normalised together: a group of one would lose how much of it an image has


def normalised(channels: int) -> nn.GroupNorm:
    """By groups of about GROUP channels and not of a batch: images do not change each other, and few are enough.

    Source: Wu and He 2018, "Group Normalization".
    """
    most = max(1, channels // GROUP)
    return nn.GroupNorm(next(groups for groups in range(most, 0, -1) if channels % groups == 0), channels)


def convolved(inside: int, outside: int) -> nn.Sequential:
    """A 3 x 3 convolution, group normalisation, ReLU: (b, inside, h, w) to (b, outside, h, w)."""
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False), normalised(outside), nn.ReLU())
