"""A class for each pixel.

Shapes: b batch, n samples, k classes, h and w height and width of the network's input or of a raw image, g and v those
of a head's maps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ftlab.batch import Batch
from ftlab.blocks import Sample
from ftlab.data.base import DataSpec
from ftlab.errors import UserError, choices
from ftlab.frames import Frame, Size, Window
from ftlab.targets.masks import Masks, warped
from ftlab.tasks import pixels
from ftlab.tasks.base import Better, Task, Trivial, class_weights
from ftlab.tasks.mask_places import RawMask, in_raw, joined
from ftlab.tasks.sections import per_segment

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torchmetrics import Metric, MetricCollection

    from ftlab.tasks.sums import Sums, Units

AUTO = "auto"
BACKGROUND = ("background", "bg")  # names of it where nobody says otherwise, in any case and without "_" around them


class Segmentation(Task):
    """Cross entropy, focal loss, dice or a sum of them; figures are of all pixels of a split, class by class.

    Cross entropy and focal loss weigh pixels. In a sum with dice, which weighs images, they are means of each image.
    """

    name = "segmentation"
    takes = Masks
    reads: ClassVar[str] = "maps"
    objective = "iou"
    predict_settings: Mapping[str, Any] = MappingProxyType({"rle": False})  # whether lines hold the masks themselves
    of_lines = ("rle",)
    formats = ("masks", "overlay")
    worst_title = "The worst images"
    class_weights: Tensor  # (k,)

    def __init__(
        self,
        spec: DataSpec,
        loss: str | list[str] | Mapping[str, float] = "cross_entropy",
        focal_gamma: float = 2.0,
        class_weights: str | list[float] | Mapping[str, float] = "none",
        background: str | None = AUTO,
    ) -> None:
        """Raises: UserError for an unknown loss, class weights that do not fit, or a background that is no class."""
        super().__init__(spec)
        self.classes = spec.target.classes
        self.num_outputs = len(self.classes)
        self.ignore: int = spec.target.ignore  # type: ignore[attr-defined]  # it is of Masks
        self.losses, self.focal_gamma = pixels.weights_of(loss), focal_gamma
        self.background = background_of(background, self.classes)
        self.register_buffer("class_weights", _weights(class_weights, spec.target), persistent=False)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        counted = batch.targets != self.ignore
        truth = batch.targets.long().masked_fill(~counted, 0)
        logs = pixels.enlarged(outputs, truth.shape[-2:]).log_softmax(1)
        of_classes = self.class_weights.float()  # a run in half precision holds it so, where a sum of pixels overflows
        weights = of_classes[truth] * counted
        terms = weights * pixels.pixel_losses(logs, truth, self.losses, self.focal_gamma)
        if "dice" not in self.losses:
            return terms.sum() / pixels.UNIT, weights.sum() / pixels.UNIT
        of_images = terms.sum((1, 2)) / weights.sum((1, 2)).clamp(min=1e-12)
        dice = pixels.dice_losses(logs, truth, counted, of_classes)
        return (of_images + self.losses["dice"] * dice).sum(), (weights.sum((1, 2)) > 0).float().sum()

    def predictions(self, outputs: Tensor) -> Tensor:
        """(b, k, g, v) logs of probabilities, at the head's own places: `compared` and `in_raw` say where they lie."""
        return outputs.float().log_softmax(1)

    def in_raw(self, predictions: Tensor, frame: Frame) -> list[RawMask]:
        return [in_raw(logs, frame.of_one(place)) for place, logs in enumerate(predictions)]

    def joined(self, predictions: Sequence[Tensor], frame: Frame, windows: Sequence[Window], size: Size) -> RawMask:
        return joined(predictions, frame, windows, size)

    def painted(self, image: "Image", record: Mapping[str, Any], prediction: RawMask) -> "Image":
        from ftlab.inputs.images.overlay import overlaid

        return overlaid(image, prediction.classes.long().numpy(), background=self.background)

    def chosen(self, predictions: Tensor, size: Sequence[int]) -> Tensor:
        """(b, h, w) the most probable class of each pixel of the network's input."""
        return pixels.enlarged(predictions, size).argmax(1)

    def compared(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(b, k, k) the shares of the pixels of each true class that each class was chosen for, and (b, k) pixels of
        each true class. Shares, since those of a trivial predictor are the same in each image."""
        found = pixels.confusions(self.chosen(predictions, targets.shape[-2:]), targets, self.num_outputs)
        true = found.sum(2)
        return found.double() / true.clamp(min=1)[..., None], true  # else in the run's precision, which may be half

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection

        from ftlab.tasks.measures import PixelConfusion

        return MetricCollection({"confusion": PixelConfusion(self.num_outputs)})

    @property
    def better(self) -> Mapping[str, Better]:
        return dict.fromkeys(self._names, "max")

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        return dict.fromkeys(self._names, (0.0, 1.0))

    @property
    def _names(self) -> list[str]:
        return ["iou", "dice", "accuracy", *(["iou_foreground"] if self.background is not None else [])]

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        """Means over the classes that are true or chosen somewhere; accuracy is the share of pixels that are right."""
        confusion = values["confusion"].double().cpu()
        iou, dice = pixels.overlaps(confusion)
        found = {"iou": iou, "dice": dice, "accuracy": confusion.diagonal().sum()[None] / confusion.sum()}
        if self.background is not None:
            found["iou_foreground"] = torch.cat([iou[: self.background], iou[self.background + 1 :]])
        means = {name: float(each.nanmean()) for name, each in found.items()}
        return {name: mean if mean == mean else None for name, mean in means.items()}

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "dict[str, Sums]":
        import numpy as np

        from ftlab.tasks.sums import mean_iou

        confusion = np.rint(predictions * targets[..., None])
        hits = np.einsum("nkk->nk", confusion)
        every = list(range(self.num_outputs))
        found = {"iou": every, "iou_foreground": [label for label in every if label != self.background]}
        chosen = found if self.background is not None else {"iou": every}
        said = confusion.sum(1)
        return {
            name: mean_iou(hits[:, those], said[:, those], targets[:, those], units) for name, those in chosen.items()
        }

    def trivials(self) -> list[Trivial]:
        if not self.spec.sizes["train"]:
            return []
        most = max(range(self.num_outputs), key=self.spec.target.counts.__getitem__)
        says = torch.zeros(self.num_outputs, self.num_outputs)
        says[:, most] = 1
        return [Trivial(f"always saying '{self.classes[most]}'", says)]

    def diagnosis(self) -> "Metric":
        from ftlab.tasks.measures import PixelConfusion

        return PixelConfusion(self.num_outputs)

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        matrix = diagnosis.tolist()
        background = None if self.background is None else self.classes[self.background]
        classes = per_segment(matrix, self.classes)
        return {"segments": {"split": split, "matrix": matrix, "classes": classes, "background": background}}

    def describe(self, predictions: Sequence[RawMask], rle: bool) -> list[dict[str, Any]]:
        """{size, shares: {class: share of the pixels}, unseen}; with `rle` also {masks: {class: run lengths}}."""
        return [self._record(one, rle) for one in predictions]

    def _record(self, one: RawMask, rle: bool) -> dict[str, Any]:
        there = one.classes.unique(return_counts=True)
        counts = {self.classes[label]: count for label, count in zip(*(part.tolist() for part in there), strict=True)}
        shares = {name: count / one.classes.numel() for name, count in counts.items()}
        record: dict[str, Any] = {"size": list(one.classes.shape), "shares": shares, "unseen": float(one.unseen)}
        if rle:
            record["masks"] = {self.classes[label]: run_lengths(one.classes == label) for label in there[0].tolist()}
        return record

    def flat(self, record: Mapping[str, Any], prediction: RawMask) -> dict[str, Any]:
        shares = {name: record["shares"].get(name, 0.0) for name in self.classes}
        return {**record, "shares": shares}

    def worst(self, predictions: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        """All images in which something counts, by their own mean over the classes that are there."""
        shares, true = self.compared(predictions, targets)
        iou = pixels.overlaps((shares * true[..., None]).round())[0].nanmean(1)
        target: Any = self.spec.target
        return [
            {
                "position": i,
                "truth": target.shown(targets[i]),
                "prediction": f"iou {iou[i]:.2f}",
                "severity": 1 - float(iou[i]),
                "note": "",
            }
            for i in iou.argsort().tolist()
            if iou[i] == iou[i]
        ]

    def drawn(self, sample: Sample, worst: Mapping[str, Any]) -> Sample:
        """The image in the colours of the predicted classes, with the outlines of the true ones."""
        from ftlab.inputs.images.overlay import overlaid

        size, frame = sample.image.size[::-1], worst["frame"].of_one(0)
        height, width = frame.raw.tolist()
        scale = ((width / size[1], 0.0, 0.0), (0.0, height / size[0], 0.0))
        back = Frame.of(scale, size, (height, width)).then(frame)
        chosen = self.chosen(worst["answer"][None], worst["target"].shape)[0]
        mask, truth = (warped(part.long(), back, -1).numpy() for part in (chosen, worst["target"]))
        return replace(sample, image=overlaid(sample.image, mask, truth, self.background))


def background_of(setting: str | None, classes: Sequence[str]) -> int | None:
    """The class that figures of the foreground leave out. Raises: UserError for one that is not there."""
    if setting is None:
        return None
    if setting == AUTO:
        named = [place for place, name in enumerate(classes) if name.strip("_ ").casefold() in BACKGROUND]
        return named[0] if len(named) == 1 else None
    if setting not in classes:
        raise UserError(f"task.background={setting}: no such class; {choices(str(setting), classes)}")
    return classes.index(str(setting))


def _weights(setting: str | list[float] | Mapping[str, float], target: Any) -> Tensor:
    weights = class_weights(setting, target.counts, target.classes)
    return torch.ones(len(target.classes)) if weights is None else torch.tensor(weights)


def run_lengths(mask: Tensor) -> dict[str, Any]:
    """A mask (h, w) of true and false as COCO writes it: {size, counts}, down the columns, what is false first."""
    flat = mask.T.flatten()
    ends = torch.where(flat[1:] != flat[:-1])[0] + 1
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), ends, torch.tensor([len(flat)])])
    return {"size": list(mask.shape), "counts": [0] * bool(flat[0]) + bounds.diff().tolist()}
