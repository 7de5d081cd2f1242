"""Masks that were decoded once, packed into memory: a fiftieth of their size, and unpacked faster than decoded.

Shapes: h and w height and width of a mask.
"""

import zlib

import numpy as np
import torch
from torch import Tensor

BUDGET = 2**28  # bytes of packed masks; those beyond are decoded again each time
FAST = 1  # zlib's level: ten times as fast as the usual one, and masks are flat areas


class Packed:
    """By name; whoever has read a mask leaves it here."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget
        self.masks: dict[str, tuple[tuple[int, ...], str, bytes]] = {}

    def get(self, name: str) -> Tensor | None:
        """A copy, so nobody can change what is kept."""
        if name not in self.masks:
            return None
        shape, kind, content = self.masks[name]
        return torch.from_numpy(np.frombuffer(bytearray(zlib.decompress(content)), kind).reshape(shape))

    def put(self, name: str, mask: Tensor) -> None:
        """Keep (h, w) whole numbers, as long as there is room."""
        if name in self.masks or not self.left:
            return
        values = mask.numpy()
        content = zlib.compress(values.tobytes(), FAST)
        if len(content) > self.left:
            self.left = 0  # else each mask would be packed to see that it has no room
            return
        self.masks[name] = tuple(values.shape), str(values.dtype), content
        self.left -= len(content)
