"""What heads share that answer with boxes at many places of an image.

Shapes: b batch, p places of all levels, k classes, m boxes of one image, r boxes of all, d boxes that are found in one,
w width, h and v height and width of a level. A box is (left, top, right, bottom) in pixels of the network's input.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, generalized_box_iou_loss, sigmoid_focal_loss

from ftlab.batch import Batch
from ftlab.heads.dense.layers import normalised
from ftlab.targets.ragged import Parts, Ragged

NONE, IGNORED = -1, -2  # of a place: nothing is there; a crowd is, which is neither right nor wrong
PRIOR = 0.01  # probability of each class at each place before anything is learned, see Lin et al. 2017
CANDIDATES = 1000  # the surest boxes of an image that non-maximum suppression chooses from


class BoxOutputs(Protocol):
    """What a head gives that finds boxes; best a NamedTuple of tensors, which brings matching, loss and decoding."""

    def losses(self, targets: Ragged, /) -> tuple[Tensor, Tensor]:
        """(sum of the losses, number of places or boxes that it is of), both scalars; see Task.loss.

        targets: rows boxes (r, 4), labels (r,), crowd (r,). Hangs on every output, also of images without boxes.
        """

    def found(self, threshold: float, overlap: float, most: int, /) -> list[Parts]:
        """Of each image boxes (d, 4), scores (d,) above `threshold`, labels (d,); the surest first, `most` at most.

        overlap: intersection over union of two boxes of one class from which only the surer one stays.
        """


def tower(width: int, depth: int) -> nn.Sequential:
    """`depth` convolutions that all levels share; so the norm is of each image and level by itself."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), normalised(width), nn.ReLU()]
    return nn.Sequential(*layers)


def answer(channels: int, outputs: int, prior: float | None = None) -> nn.Conv2d:
    """The last convolution; `prior`: the probability that it gives at first, None for 0 as its value."""
    layer = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, 0.0 if prior is None else -math.log((1 - prior) / prior))
    return layer


def by_place(maps: Sequence[Tensor], numbers: int) -> Tensor:
    """Levels (b, a * numbers, h, v) as (b, p, numbers), the `a` of one place after each other."""
    flat = [one.unflatten(1, (-1, numbers)).permute(0, 3, 4, 1, 2).flatten(1, 3) for one in maps]
    return torch.cat(flat, 1).float()  # half precision cannot hold places


def extent(batch: Batch) -> tuple[Tensor, tuple[int, int]]:
    """(b, 2) height and width of each image without what fills the batch, and those of the batch."""
    images = batch.inputs.get("images")
    if batch.frame is None:
        assert images is not None, "images, or a frame that tells their size"
        height, width = images.shape[-2:]
        return torch.tensor([[height, width]], device=images.device).expand(len(batch), 2), (height, width)
    sizes = batch.frame.size
    height, width = images.shape[-2:] if images is not None else sizes.amax(0).tolist()
    return sizes, (height, width)


def middles(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(h * v, 2) where x and y of the middle of each place of maps (b, c, h, v) lie in images of `size`."""
    y, x = (
        (torch.arange(count, dtype=torch.float32, device=maps.device) + 0.5) * (side / count)
        for count, side in zip(maps.shape[-2:], size, strict=True)
    )
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)


def class_loss(logits: Tensor, matched: Tensor, targets: Ragged) -> Tensor:
    """The sum of the focal losses of logits (b, p, k), but for places that are ignored.

    matched: (b, p), see `rows_of`. Source: Lin et al. 2017, "Focal Loss for Dense Object Detection".
    """
    truth = torch.zeros_like(logits)
    image, place = torch.where(matched >= 0)
    truth[image, place, targets.rows["labels"][rows_of(matched, targets)]] = 1
    terms = sigmoid_focal_loss(logits, truth)
    return (terms * (matched != IGNORED)[..., None]).sum()


def rows_of(matched: Tensor, targets: Ragged) -> Tensor:
    """The rows of `targets` at the places that have one; matched: (b, p) the box of its image, NONE or IGNORED."""
    first = targets.counts.cumsum(0) - targets.counts
    return (matched + first[:, None])[matched >= 0]


def box_loss(boxes: Tensor, matched: Tensor, targets: Ragged) -> Tensor:
    """The sum of 1 - generalized IoU of boxes (b, p, 4) where they are matched.

    Source: Rezatofighi et al. 2019, "Generalized Intersection over Union".
    """
    true = targets.rows["boxes"][rows_of(matched, targets)]
    return generalized_box_iou_loss(boxes[matched >= 0], true, reduction="sum")


def covered(boxes: Tensor, crowds: Tensor) -> Tensor:
    """(p, m) the share of each box (p, 4) that lies in each crowd (m, 4)."""
    corners = torch.maximum(boxes[:, None, :2], crowds[:, :2]), torch.minimum(boxes[:, None, 2:], crowds[:, 2:])
    shared = (corners[1] - corners[0]).clamp(min=0).prod(-1)
    return shared / (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1e-6)[:, None]


def best(boxes: Tensor, scores: Tensor, size: Tensor, threshold: float, overlap: float, most: int) -> Parts:
    """Of one image with boxes (p, 4) and scores (p, k): see BoxOutputs.found. size: (2,) its height and width."""
    place, label = torch.where(scores > threshold)
    sure, order = scores[place, label].topk(min(CANDIDATES, len(place)))
    place, label = place[order], label[order]
    height, width = size.tolist()
    cut = clip_boxes_to_image(boxes[place], (height, width))
    there = (cut[:, 2:] > cut[:, :2]).all(1)
    cut, sure, label = cut[there], sure[there], label[there]
    kept = batched_nms(cut, sure, label, overlap)[:most]
    return {"boxes": cut[kept], "scores": sure[kept], "labels": label[kept]}
