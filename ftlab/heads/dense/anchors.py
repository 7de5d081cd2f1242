"""Boxes of fixed sizes at each place, which an object's box is told beside.

Shapes: b batch, p anchors of all levels, k classes, m boxes of one image.
"""

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from ftlab.heads.dense.boxes import best, box_loss, class_loss
from ftlab.targets.ragged import Parts, Ragged

CODER = BoxCoder((1.0, 1.0, 1.0, 1.0))  # shift in sides of the anchor, and the logarithm of how much larger
CROWDED = 0.5  # of an anchor that lies in a crowd: it is neither right nor wrong


def decoded(codes: Tensor, anchors: Tensor) -> Tensor:
    """(b, p, 4) boxes of codes (b, p, 4) beside anchors (p, 4)."""
    return CODER.decode_single(codes.flatten(0, 1), anchors.repeat(len(codes), 1)).view_as(codes)


def losses(logits: Tensor, boxes: Tensor, matched: Tensor, targets: Ragged) -> tuple[Tensor, Tensor]:
    """As BoxOutputs.losses, of logits (b, p, k) and boxes (b, p, 4) that are `matched` (b, p)."""
    total = class_loss(logits, matched, targets) + box_loss(boxes, matched, targets)
    return total, (matched >= 0).sum().to(total)


def found(logits: Tensor, boxes: Tensor, sizes: Tensor, threshold: float, overlap: float, most: int) -> list[Parts]:
    """As BoxOutputs.found, of logits (b, p, k) and boxes (b, p, 4) in images of `sizes` (b, 2)."""
    parts = zip(boxes, logits.sigmoid(), sizes, strict=True)
    return [best(*one, threshold, overlap, most) for one in parts]


def around(places: Tensor, shapes: Tensor) -> Tensor:
    """(n * a, 4) anchors of the `shapes` (a, 4), boxes around 0, at places (n, 2)."""
    return (torch.cat([places, places], 1)[:, None] + shapes).flatten(0, 1)
