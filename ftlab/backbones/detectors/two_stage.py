"""What Faster R-CNN of torchvision answers: proposals of a first network, and a class and a box for each of them.

Shapes: b batch, c channels of a level, h and w its height and width, p anchors of all levels, q proposals of one image,
k classes with the background, m boxes of one image, d boxes that are found in one.

Source: Ren et al. 2015, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks".
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import concat_box_prediction_layers

from ftlab.backbones.detectors.one_stage import blank, theirs
from ftlab.targets.ragged import Parts, Ragged

BACKGROUND = 1  # how many numbers before the first class stand for nothing


class Drawn(NamedTuple):
    """The proposals that the second network learns from, of one image."""

    boxes: Tensor  # (q, 4)
    labels: Tensor  # (q,) 0 for the background
    codes: Tensor  # (q, 4) that the network is to give


class Answer(NamedTuple):
    """What the second network says of proposals."""

    logits: Tensor  # (q, k)
    codes: Tensor  # (q, 4 * k) a box for each class


class Proposed(NamedTuple):
    """BoxOutputs of both networks."""

    network: Any
    objectness: Tensor  # (b, p)
    deltas: Tensor  # (b, p, 4)
    anchors: list[Tensor]  # of each image (p, 4)
    drawn: list[Drawn]  # of each image; none without targets
    learning: list[Answer]  # to what is drawn, of each image
    proposals: list[Tensor]  # of each image (q, 4); none in training, whose steps need no others than are drawn
    answers: list[Answer]  # to these
    sizes: list[tuple[int, int]]  # height and width of each image

    @property
    def continuous(self) -> tuple[Tensor, Tensor]:
        """What comes before boxes are chosen."""
        return self.objectness, self.deltas

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        """The unit is an image: of each the means over what was drawn in it, as torchvision takes them over a batch in
        whose images as much was drawn."""
        first = [self._first(place, one) for place, one in enumerate(theirs(targets, BACKGROUND))]
        second = [self._second(*pair) for pair in zip(self.learning, self.drawn, strict=True)]
        total = torch.stack([*first, *second]).sum()
        return total, total.new_tensor(len(first))

    def _second(self, answer: Answer, drawn: Drawn) -> Tensor:
        """How well the second network tells what was drawn."""
        if not len(drawn.labels):  # of an image in which nothing was proposed
            return answer.logits.sum() + answer.codes.sum()
        return sum_of(fastrcnn_loss(answer.logits, answer.codes, [drawn.labels], [drawn.codes]))

    def _first(self, place: int, one: Parts) -> Tensor:
        """How well the first network tells what lies at the anchors of one image."""
        rpn, anchors = self.network.rpn, [self.anchors[place]]
        labels, boxes = rpn.assign_targets_to_anchors(anchors, [one])
        codes = rpn.box_coder.encode(boxes, anchors)
        with draws(self.network):
            return sum_of(rpn.compute_loss(self.objectness[place], self.deltas[place], labels, codes))

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        heads = self.network.roi_heads
        heads.score_thresh, heads.nms_thresh, heads.detections_per_img = threshold, overlap, most
        logits, codes = (torch.cat(several).float() for several in zip(*self.answers, strict=True))
        found = heads.postprocess_detections(logits, codes, self.proposals, self.sizes)
        return [{"boxes": b, "scores": s, "labels": n - BACKGROUND} for b, s, n in zip(*found, strict=True)]


def sum_of(losses: tuple[Tensor, Tensor]) -> Tensor:
    return losses[0] + losses[1]


@contextmanager
def draws(network: FasterRCNN) -> Iterator[None]:
    """What is drawn meanwhile is by chance in training, whose steps have numbers of their own; in evaluation it is the
    same for an image at each time, and no random number of others is used up."""
    if network.training:
        yield
        return
    device = next(network.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def answer(
    network: FasterRCNN, levels: Mapping[str, Tensor], sizes: Tensor, size: tuple[int, int], targets: Ragged | None
) -> Proposed:
    """Of maps (b, c, h, w) by their names; sizes: (b, 2) height and width of each image, in a batch of `size`."""
    maps = list(levels.values())
    images = blank(maps, sizes, size)
    anchors = network.rpn.anchor_generator(images, maps)
    every_objectness, every_deltas = network.rpn.head(maps)
    counts = [one[0].numel() for one in every_objectness]
    flat = concat_box_prediction_layers(every_objectness, every_deltas)
    objectness, deltas = flat[0].view(len(sizes), -1), flat[1].view(len(sizes), -1, 4)
    proposals = propose(network, objectness, deltas, anchors, images.image_sizes, counts)
    true = [] if targets is None or objectness.is_meta else theirs(targets, BACKGROUND)
    drawn = [draw(network, *pair) for pair in zip(proposals, true, strict=True)] if true else []
    learning = second(network, levels, [one.boxes for one in drawn], images.image_sizes)
    proposals = [] if drawn and network.training else proposals
    answers = second(network, levels, proposals, images.image_sizes)
    return Proposed(network, objectness, deltas, anchors, drawn, learning, proposals, answers, images.image_sizes)


@torch.no_grad()
def propose(
    network: FasterRCNN,
    objectness: Tensor,
    deltas: Tensor,
    anchors: list[Tensor],
    sizes: list[tuple[int, int]],
    counts: list[int],
) -> list[Tensor]:
    """Of each image boxes (q, 4), the surest first. counts: anchors of each level."""
    if objectness.is_meta:  # there are no numbers to choose by
        return [one[:1] for one in anchors]
    boxes = network.rpn.box_coder.decode(deltas.flatten(0, 1), anchors).view(len(sizes), -1, 4)
    found: list[Tensor] = network.rpn.filter_proposals(boxes, objectness, sizes, counts)[0]
    return found


@torch.no_grad()
def draw(network: FasterRCNN, proposals: Tensor, one: Parts) -> Drawn:
    """Of one image, the true boxes among them."""
    with draws(network):
        boxes, _, labels, codes = network.roi_heads.select_training_samples([proposals], [one])
    return Drawn(boxes[0], labels[0], codes[0])


def second(
    network: FasterRCNN, levels: Mapping[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]
) -> list[Answer]:
    """What the second network says of the `boxes` (q, 4) of each image."""
    if not boxes:
        return []
    heads, counts = network.roi_heads, [len(one) for one in boxes]
    logits, codes = heads.box_predictor(heads.box_head(pooled(heads.box_roi_pool, levels, boxes, sizes)))
    return [Answer(*pair) for pair in zip(logits.split(counts), codes.split(counts), strict=True)]


def pooled(pool: Any, levels: Mapping[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]) -> Tensor:
    """(all q, c, *pool.output_size) of what lies in the boxes (q, 4) of each image."""
    one = next(iter(levels.values()))
    if one.is_meta:  # which level a box is of, its numbers would tell
        return one.new_empty(sum(map(len, boxes)), one.shape[1], *pool.output_size)
    found: Tensor = pool(dict(levels), boxes, sizes)
    return found
