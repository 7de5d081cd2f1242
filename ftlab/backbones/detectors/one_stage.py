"""What RetinaNet, FCOS and SSD of torchvision answer: classes and a box at each anchor.

Shapes: b batch, c channels of a level, h and w its height and width, p anchors of all levels, k classes, m boxes of one
image, d boxes that are found in one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from ftlab.targets.ragged import Parts, Ragged


def blank(levels: Sequence[Tensor], sizes: Tensor, size: tuple[int, int]) -> ImageList:
    """What torchvision's parts ask of a batch of `size` beside its maps: how large it is, and each image in it."""
    nothing = levels[0].new_empty(1).expand(len(sizes), 1, *size)
    return ImageList(nothing, [(int(height), int(width)) for height, width in numbers(sizes)])


def numbers(sizes: Tensor) -> list[list[int]]:
    """On the meta device there are no numbers, and none are needed there."""
    return [[1, 1]] * len(sizes) if sizes.is_meta else sizes.tolist()


def theirs(targets: Ragged, background: int) -> list[Parts]:
    """The boxes (m, 4) and labels (m,) of each image as torchvision takes them. `background`: how many numbers before
    the first class stand for nothing. As in its own recipes a crowd is no box, and what lies in it is background."""
    found = []
    for one in targets.samples():
        single = ~one["crowd"]
        found.append({"boxes": one["boxes"][single], "labels": one["labels"][single] + background})
    return found


class Anchored(NamedTuple):
    """BoxOutputs of all anchors, before anything is chosen."""

    network: Any
    outputs: dict[str, Tensor]  # by torchvision's names, each (b, p, ...)
    anchors: list[Tensor]  # of each image (p, 4)
    places: list[int]  # of each level, without counting the anchors of one place
    sizes: list[tuple[int, int]]  # height and width of each image
    background: int

    @property
    def continuous(self) -> dict[str, Tensor]:
        return self.outputs

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        """The unit is an anchor that lies on an object; of RetinaNet, whose loss is a mean over such in each image by
        itself, it is an image."""
        boxes = theirs(targets, self.background)
        match self.network:
            case RetinaNet():
                means = self.network.compute_loss(boxes, self.outputs, self.anchors)
                weight = targets.counts.new_tensor(len(boxes))
            case FCOS():
                means = self.network.compute_loss(boxes, self.outputs, self.anchors, self.places)
                weight = means.pop(COUNT)
            case _:
                matched = [self._match(*pair) for pair in zip(boxes, self.anchors, strict=True)]
                means = self.network.compute_loss(boxes, self.outputs, self.anchors, matched)
                weight = count(matched)
        total = torch.stack(list(means.values())).sum() * weight.clamp(min=1)  # as torchvision has divided
        return total, weight.to(total)

    def _match(self, one: Parts, anchors: Tensor) -> Tensor:
        """(p,) the box of each anchor, below 0 for none."""
        if not len(one["boxes"]):
            return torch.full_like(anchors[:, 0], -1, dtype=torch.int64)
        matched: Tensor = self.network.proposal_matcher(box_iou(one["boxes"], anchors))
        return matched

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        network = self.network
        network.score_thresh, network.nms_thresh, network.detections_per_img = threshold, overlap, most
        outputs: Any = {name: one.float() for name, one in self.outputs.items()}
        anchors: Any = self.anchors
        if not isinstance(network, SSD):
            each = len(anchors[0]) // sum(self.places)
            counts = [count * each for count in self.places]
            outputs = {name: list(one.split(counts, 1)) for name, one in outputs.items()}
            anchors = [list(one.split(counts)) for one in anchors]
        found = network.postprocess_detections(outputs, anchors, self.sizes)
        return [{**one, "labels": one["labels"] - self.background} for one in found]


def count(matched: Sequence[Tensor]) -> Tensor:
    """How many anchors lie on an object; matched: of each image (p,) the box of each, below 0 for none."""
    return torch.stack([(one >= 0).sum() for one in matched]).sum()


COUNT = "count"


class CountingHead(FCOSHead):
    """Also says how many anchors its means are over."""

    def compute_loss(self, targets: Any, head_outputs: Any, anchors: Any, matched_idxs: list[Tensor]) -> Any:
        means = super().compute_loss(targets, head_outputs, anchors, matched_idxs)
        return {**means, COUNT: count(matched_idxs)}


def answer(network: Any, levels: Sequence[Tensor], sizes: Tensor, size: tuple[int, int]) -> Anchored:
    """Of maps (b, c, h, w); sizes: (b, 2) height and width of each image, in a batch of `size`."""
    maps, images = list(levels), blank(levels, sizes, size)
    outputs = network.head(maps)
    anchors = network.anchor_generator(images, maps)
    places = [one.shape[-2] * one.shape[-1] for one in maps]
    return Anchored(network, outputs, anchors, places, images.image_sizes, int(isinstance(network, SSD)))
