"""What task=segmentation does with pixels: losses of them, and their confusion image by image.

Shapes: b batch, k classes, h and w height and width.

Sources: Lin et al. 2017, "Focal Loss for Dense Object Detection"; Milletari et al. 2016, "V-Net: Fully Convolutional
Neural Networks for Volumetric Medical Image Segmentation", for dice.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ftlab.errors import UserError, choices

LOSSES = ("cross_entropy", "focal", "dice")
OF_PIXELS = ("cross_entropy", "focal")  # which weigh pixels; the others weigh images
UNIT = 2.0**14  # pixels that weigh as one sample: else their sums would not fit into half precision


def weights_of(loss: str | Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """The losses by name, each with its weight. Raises: UserError for an unknown one, or for none."""
    named = loss.split("+") if isinstance(loss, str) else loss
    found = dict(named) if isinstance(named, Mapping) else dict.fromkeys(named, 1.0)
    for name, weight in found.items():
        if name not in LOSSES:
            raise UserError(f"task.loss={name}: no such loss; {choices(name, LOSSES)}")
        if not 0 < weight < float("inf"):
            raise UserError(f"task.loss: {name} has the weight {weight}; accepted is above 0")
    if not found:
        raise UserError(f"task.loss is empty; {choices('', LOSSES)}")
    return found


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(b, k, ...) to (b, k, *size), in full precision."""
    return functional.interpolate(maps.float(), size=tuple(size), mode="bilinear", align_corners=False)


def pixel_losses(logs: Tensor, truth: Tensor, losses: Mapping[str, float], gamma: float) -> Tensor:
    """(b, h, w) the weighted sum of the losses of pixels, of logs (b, k, h, w) and classes (b, h, w)."""
    own = logs.gather(1, truth[:, None])[:, 0]
    terms = torch.zeros_like(own)
    if weight := losses.get("cross_entropy"):
        terms = terms - weight * own
    if weight := losses.get("focal"):
        unsure = (1 - own.exp()).clamp(min=torch.finfo(own.dtype).tiny)  # a power below 1 has no gradient at 0
        terms = terms - weight * own * unsure**gamma
    return terms


def dice_losses(logs: Tensor, truth: Tensor, counted: Tensor, weights: Tensor) -> Tensor:
    """(b,) 1 less the mean over the classes that are in an image of 2 * shared / (predicted + true), in probabilities.

    counted: (b, h, w) the pixels that count; weights: (k,) of the classes. 0 where none of them is there.
    """
    there = functional.one_hot(truth, logs.shape[1]).movedim(-1, 1) * counted[:, None]
    chances = logs.exp() * counted[:, None]
    shared, predicted, true = (part.sum((2, 3)) for part in (chances * there, chances, there))
    each = 1 - 2 * shared / (predicted + true).clamp(min=1e-6)
    weighed = weights * (true > 0)
    return (weighed * each).sum(1) / weighed.sum(1).clamp(min=1e-12)


def confusions(chosen: Tensor, truth: Tensor, classes: int) -> Tensor:
    """(b, k, k) pixels of each image by their true and their chosen class; what counts for nothing is in none."""
    good = (truth >= 0) & (truth < classes)
    image = torch.arange(len(truth), device=truth.device)[:, None, None].expand_as(truth)
    place = (image * classes + truth.long()) * classes + chosen
    return torch.bincount(place[good], minlength=len(truth) * classes**2).view(-1, classes, classes)


def overlaps(confusion: Tensor) -> tuple[Tensor, Tensor]:
    """(..., k) the intersection over union and the dice of each class, of (..., k, k); NaN where it is neither true nor
    chosen."""
    hits = confusion.diagonal(dim1=-2, dim2=-1).double()
    both = (confusion.sum(-1) + confusion.sum(-2)).double()
    return hits / (both - hits), 2 * hits / both
