"""Maps of several stages of a timm network, for heads that answer at every place of an image.

Shapes: b batch, c channels of a level, h height, w width; all of the level.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ftlab.backbones.base import Level
from ftlab.backbones.modes import in_evaluation
from ftlab.errors import UserError

METHOD = "forward_intermediates"  # timm's name; all its families give (last output, maps of all stages) by it
SIDE = 64  # pixels; on images of a multiple of it no map of a usual stride is rounded
Maps = Sequence[Tensor]  # of all stages, finest first, each (b, c, h, w)


@torch.no_grad()
def end_at_strides(model: Any, name: str, strides: Sequence[int], blank: Tensor) -> tuple[list[int], tuple[Level, ...]]:
    """Take out what lies behind the last map that is wanted; places in the maps of METHOD, and what lies there.

    blank: (1, 3, height, width). Of each stride the last map counts. A network that has none of the strides, such as a
    plain vision transformer with patches of 14, gives its last map alone.

    Raises: UserError for a network of which timm gives no maps, and for strides that do not rise.
    """
    if any(b <= a for a, b in pairwise(strides)):
        raise UserError(f"head.strides={list(strides)}: each must be larger than the one before, for example [8, 16]")
    if not hasattr(model, METHOD) or not hasattr(model, "prune_intermediate_layers"):
        raise UserError(f"backbone.name={name}: timm gives no maps of its stages, and the head asks for some")
    found = [level_of(maps, blank) for maps in maps_of(model, blank)]
    last = {level.stride: place for place, level in enumerate(found)}
    places = [last[stride] for stride in strides if stride in last] or [len(found) - 1]
    model.prune_intermediate_layers([places[-1]], prune_norm=True, prune_head=True)
    return places, tuple(found[place] for place in places)


def maps_of(model: Any, blank: Tensor) -> Maps:
    with in_evaluation(model):
        found: Maps = getattr(model, METHOD)(blank)[1]
    return found


def rounded(images: Tensor) -> Tensor:
    """(b, 3, h, w) with h and w as the next multiples of SIDE."""
    height, width = images.shape[-2:]
    return pad(images, (0, -width % SIDE, 0, -height % SIDE))


def level_of(maps: Tensor, images: Tensor) -> Level:
    """Without padding, maps are a little smaller than their stride says; so it is the nearest power of two."""
    ratio = images.shape[-1] / maps.shape[-1]
    return Level(channels=maps.shape[1], stride=2 ** round(math.log2(ratio)))
