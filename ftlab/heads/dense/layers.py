"""Layers that dense heads share."""

from math import gcd

from torch import nn


def convolved(inside: int, outside: int) -> nn.Sequential:
    """A 3 x 3 convolution, group normalisation, ReLU: (b, inside, h, w) to (b, outside, h, w).

    By groups of channels and not of a batch: images of a batch do not change each other, and few are enough.
    """
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.GroupNorm(gcd(32, outside), outside), nn.ReLU()
    )
