"""Boxes with a class each, any number an image.

Shapes: b batch, d boxes that are found in an image, m true ones, k classes. Figures are of the raw images' pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ftlab.batch import Batch
from ftlab.blocks import Sample
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Window
from ftlab.heads.dense.boxes import BoxOutputs
from ftlab.targets.boxes import Boxes, around, corners
from ftlab.targets.ragged import Parts, Ragged
from ftlab.tasks.base import Better, Task
from ftlab.tasks.box_matches import NONE, best_threshold, judged, matched
from ftlab.tasks.box_tiles import joined

if TYPE_CHECKING:
    from PIL.Image import Image
    from torchmetrics import Metric, MetricCollection

UNDECIDED = 0.5  # score from which a box counts while no val split has decided it
FIGURES = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "mar_100", "mean_iou")


class Detection(Task):
    """The head brings matching, loss and decoding, see BoxOutputs; figures are COCO's.

    What is found with a score above `least_score` is judged; what counts for a person begins at `score`, which val
    decides by the best mean F1 of the classes.
    """

    name = "detection"
    takes = Boxes
    reads = "boxes"
    objective = "map"
    raw_figures = True
    joins = True
    least_weight = 1.0
    predict_settings: Mapping[str, Any] = MappingProxyType({"score": None})
    formats = ("coco", "yolo", "overlay")
    worst_title = "The images with the most errors"

    def __init__(
        self,
        spec: DataSpec,
        score: float | Literal["auto"] = "auto",
        least_score: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
    ) -> None:
        """Raises: UserError for shares that are none, and for data without boxes."""
        super().__init__(spec)
        self.classes = spec.target.classes
        self.num_outputs = len(self.classes)
        self.decided = score != "auto"
        self.score = UNDECIDED if score == "auto" else float(score)
        self.least, self.overlap, self.most = least_score, overlap, most
        for key, value in (("score", self.score), ("least_score", least_score), ("overlap", overlap)):
            if not 0 <= value <= 1:
                raise UserError(f"task.{key}={value}: accepted is 0 to 1")
        if self.decided and self.score < least_score:
            raise UserError(f"task.score={score}: boxes below task.least_score={least_score} are not kept")
        if most < 1:
            raise UserError(f"task.most={most}: accepted is 1 or more")

    def loss(self, outputs: BoxOutputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return outputs.losses(batch.targets)

    def predictions(self, outputs: BoxOutputs) -> list[Parts]:
        """Of each image boxes (d, 4) in the network's pixels, scores (d,) and labels (d,), the surest first."""
        return outputs.found(self.least, self.overlap, self.most)

    def in_raw(self, predictions: Sequence[Parts], frame: Frame) -> list[Parts]:
        back = frame.inverse()
        return [brought(one, back.select(torch.tensor(place))) for place, one in enumerate(predictions)]

    def joined(self, predictions: Sequence[Parts], frame: Frame, windows: Sequence[Window], size: Size) -> Parts:
        return joined(self.in_raw(predictions, frame), windows, size, self.overlap)

    def compared(self, predictions: Sequence[Parts], targets: Ragged) -> tuple[Sequence[Parts], Ragged]:
        return predictions, targets

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection

        from ftlab.tasks.box_metric import Gathered

        return MetricCollection({"boxes": Gathered(self.classes, figures=True)})

    @property
    def better(self) -> Mapping[str, Better]:
        return dict.fromkeys((*FIGURES, *(f"map/{name}" for name in self.classes)), "max")

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        return dict.fromkeys(FIGURES, (0.0, 1.0))

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        """In the order of FIGURES, then map of each class."""
        return {name: None if values[name].isnan() else float(values[name]) for name in self.better}

    def diagnosis(self) -> "Metric":
        from ftlab.tasks.box_metric import Gathered

        return Gathered(self.classes, figures=False)

    def settle(self, diagnosis: tuple[Ragged, Ragged]) -> None:
        found, true = (side.samples() for side in diagnosis)
        best = best_threshold(judged(found, true, self.num_outputs))
        if not self.decided and best is not None:
            self.score = max(best, self.least)

    def settled(self) -> dict[str, Any]:
        return {"score": self.score}

    def section(self, diagnosis: tuple[Ragged, Ragged], split: str) -> dict[str, Any]:
        """What counts at `score`, in plain numbers, of all boxes that are found and the true ones."""
        from ftlab.tasks.box_section import section

        found, true = (side.samples() for side in diagnosis)
        return {"detection": {"split": split, **section(found, true, self.classes, self.score)}}

    def at_predict(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = super().at_predict({name: value for name, value in given.items() if value is not None})
        score = found["score"]
        if score is not None and (type(score) not in (int, float) or not self.least <= score <= 1):
            raise UserError(f"score={score}: accepted is {self.least} (task.least_score of the run) to 1")
        return found

    def describe(self, predictions: Sequence[Parts], score: float | None = None) -> list[dict[str, Any]]:
        """{boxes: [{box: [left, top, right, bottom], class, score}]}, the surest first."""
        least = self.score if score is None else score
        return [{"boxes": self._records(sure(one, least))} for one in predictions]

    def _records(self, one: Parts) -> list[dict[str, Any]]:
        rows = zip(one["boxes"].tolist(), one["labels"].tolist(), one["scores"].tolist(), strict=True)
        return [{"box": box, "class": self.classes[label], "score": score} for box, label, score in rows]

    def flat(self, record: Mapping[str, Any], prediction: Parts) -> dict[str, Any]:
        return {"count": len(record["boxes"]), **record}

    def painted(self, image: "Image", record: Mapping[str, Any], prediction: Parts) -> "Image":
        from ftlab.tasks.box_drawing import FOUND, draw

        named = [(one["box"], f"{one['class']} {one['score']:.2f}", FOUND) for one in record["boxes"]]
        return draw(image, named)

    def worst(self, predictions: Sequence[Parts], targets: Ragged) -> list[dict[str, Any]]:
        """All images; a box that is none weighs as much as its score, a true one as much as the score lacks that found
        it, so that no threshold decides."""
        severity = [self._severity(*pair) for pair in zip(predictions, targets.samples(), strict=True)]
        order = sorted(range(len(severity)), key=lambda place: -severity[place])
        return [
            {"position": place, "severity": severity[place], **self._told(predictions[place], targets[place])}
            for place in order
            if severity[place]
        ]

    def _severity(self, found: Parts, true: Parts) -> float:
        answer = matched(found, true)
        scores = found["scores"].numpy()
        missed = int((~true["crowd"]).sum()) - scores[answer >= 0].sum()
        return float(scores[answer == NONE].sum() + missed)

    def _told(self, found: Parts, true: Parts) -> dict[str, str]:
        """The texts of one of the worst, by what counts at `score`."""
        counts = sure(found, self.score)
        answer = matched(counts, true)
        missed, wrong = int((~true["crowd"]).sum()) - int((answer >= 0).sum()), int((answer == NONE).sum())
        target = self.spec.target
        return {
            "truth": target.shown(true),
            "prediction": target.shown(counts),
            "note": f"({missed} missed, {wrong} wrong)",
        }

    def drawn(self, sample: Sample, worst: Mapping[str, Any]) -> Sample:
        """True boxes beneath those that count, and the counts by the score that val has decided since."""
        from ftlab.tasks.box_drawing import compared

        found, true = sure(worst["answer"], self.score), next(iter(worst["target"].samples()))
        told = replace(sample, prediction=self._told(found, true)["note"].strip("()"), truth="", note="")
        if sample.image is None:
            return told
        height, width = worst["frame"].raw.flatten().tolist()
        scale = torch.tensor([sample.image.width / width, sample.image.height / height]).repeat(2)
        upon, beneath = ({**one, "boxes": one["boxes"] * scale} for one in (found, true))
        return replace(told, image=compared(sample.image, upon, beneath, self.classes), side=max(sample.image.size))


def brought(one: Parts, frame: Frame) -> Parts:
    """The upright boxes around where the corners went, cut at the rim; those that lie outside are left out."""
    height, width = frame.size.tolist()
    boxes = around(frame.apply(corners(one["boxes"])))
    cut = torch.stack([side.clamp(0, most) for side, most in zip(boxes.unbind(1), (width, height) * 2, strict=True)], 1)
    inside = (cut[:, 2:] > cut[:, :2]).all(1)
    return {name: part[inside] for name, part in {**one, "boxes": cut}.items()}


def sure(one: Parts, score: float) -> Parts:
    """The boxes that are found with that score or a higher one."""
    return {name: part[one["scores"] >= score] for name, part in one.items()}
