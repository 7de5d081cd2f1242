"""One class a sample.

Shapes: b batch, k classes.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.targets.classes import Classes
from ftlab.tasks.base import Task, Trivial, class_weights
from ftlab.tasks.macro import COUNTS, means
from ftlab.tasks.tempering import tempered

if TYPE_CHECKING:
    import numpy as np
    from torchmetrics import Metric, MetricCollection

    from ftlab.convex.standardised import Layer
    from ftlab.tasks.calibration import Answers
    from ftlab.tasks.sums import Sums, Units

EXACT_AUROC = 20_000_000  # scores; above it the curve is binned, which needs memory for the bins only
BINS = 512
ALONE = {"accuracy", "auroc", "accuracy_top5"}  # metrics that share no counts with others


class Classification(Task):
    """Cross entropy or focal loss over classes; precision, recall, f1 and auroc are means over the classes (macro).

    Source of the focal loss: Lin et al. 2017, "Focal Loss for Dense Object Detection".
    """

    name = "classification"
    takes = Classes
    objective = "accuracy"
    predict_settings: Mapping[str, Any] = MappingProxyType({"top_k": 5})  # most probable classes to list
    of_lines = ("top_k",)
    worst_title = "The most confident mistakes"
    class_weights: Tensor | None  # (k,)

    def __init__(
        self,
        spec: DataSpec,
        loss: Literal["cross_entropy", "focal"] = "cross_entropy",
        label_smoothing: float = 0.0,
        focal_gamma: float = 2.0,
        class_weights: str | list[float] | Mapping[str, float] = "none",
        calibrate: bool = False,
        temperature: float = 1.0,
    ) -> None:
        """temperature: see ftlab.tasks.calibration; of a bundle, where `calibrate` has found one."""
        super().__init__(spec)
        self.calibrate, self.temperature = calibrate, temperature
        self.classes = spec.target.classes
        self.num_outputs = len(self.classes)
        if self.num_outputs < 2:
            raise UserError(f"data: {self.num_outputs} class; a classification needs at least 2")
        self.focal_gamma = focal_gamma if loss == "focal" else 0.0
        self.label_smoothing = label_smoothing
        self.register_buffer(
            "class_weights", _weights(class_weights, spec.target.counts, spec.target.classes), persistent=False
        )

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = outputs.float()  # half precision loses the small probabilities
        targets = batch.targets
        if targets.ndim == 1 and not self.focal_gamma:
            total = functional.cross_entropy(
                outputs, targets, self.class_weights, reduction="sum", label_smoothing=self.label_smoothing
            )
            weight = (
                outputs.new_full((), len(targets)) if self.class_weights is None else self.class_weights[targets].sum()
            )
            return total, weight
        chances = (
            functional.one_hot(targets, self.num_outputs).to(outputs) if targets.ndim == 1 else targets.to(outputs)
        )
        weighted = chances if self.class_weights is None else chances * self.class_weights
        return self._soft(outputs, chances), weighted.sum()

    def _soft(self, outputs: Tensor, chances: Tensor) -> Tensor:
        """Sum of the losses under targets (b, k) that are probabilities, as mixup makes them."""
        smooth = chances * (1 - self.label_smoothing) + self.label_smoothing / self.num_outputs
        logs = functional.log_softmax(outputs, dim=1)
        unsure = (1 - logs.exp()).clamp(min=torch.finfo(logs.dtype).tiny)  # a power below 1 has no gradient at 0
        terms = -smooth * logs * unsure**self.focal_gamma
        return (terms if self.class_weights is None else terms * self.class_weights).sum()

    def refuses_convex(self) -> str | None:
        return "task.loss=focal is not convex; use task.loss=cross_entropy" if self.focal_gamma else None

    def last_layer(self, features: Tensor, targets: Tensor, strength: float | None) -> "Layer":
        from ftlab.convex.logistic import logistic  # scipy takes a while to import

        return logistic(
            features,
            targets,
            self.num_outputs,
            class_weights=self.class_weights,
            label_smoothing=self.label_smoothing,
            strength=strength,
        )

    def refuses_estimator(self) -> str | None:
        if self.focal_gamma or self.label_smoothing:
            return "head=sklearn reads neither task.loss=focal nor task.label_smoothing; leave them as they are"
        return None

    def for_estimator(self, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        return targets, None if self.class_weights is None else self.class_weights.cpu()[targets].double()

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.float().softmax(dim=1)

    def compared(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return predictions, targets

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection
        from torchmetrics.classification import (
            MulticlassAccuracy,
            MulticlassAUROC,
            MulticlassF1Score,
            MulticlassPrecision,
            MulticlassRecall,
            MulticlassStatScores,
        )

        k = self.num_outputs
        bins = BINS if samples * k > EXACT_AUROC else None
        figures: dict[str, Any] = {
            "accuracy": MulticlassAccuracy(k, average="micro"),
            "precision": MulticlassPrecision(k, average=None),
            "recall": MulticlassRecall(k, average=None),
            "f1": MulticlassF1Score(k, average=None),
            "auroc": MulticlassAUROC(k, average=None, thresholds=bins),
            COUNTS: MulticlassStatScores(k, average=None),
        }
        if k > 5:
            figures["accuracy_top5"] = MulticlassAccuracy(k, average="micro", top_k=5)
        # Named groups: those that torchmetrics 1.9 finds by itself merge top-5 with f1 whenever the first batch is all
        # right (their counts broadcast to equal values), and then f1, precision and recall are top-5's.
        groups = [["precision", "recall", "f1", COUNTS], *([n] for n in ALONE & set(figures))]
        return MetricCollection(figures, compute_groups=groups)

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        return means(values, self.classes, "classes")

    def scores(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions.argmax(dim=1) == targets).float()

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "dict[str, Sums]":
        import numpy as np

        from ftlab.tasks.sums import macro_auroc, macro_f1, mean

        chosen, classes = predictions.argmax(axis=1), np.arange(self.num_outputs)
        true = targets[:, None] == classes
        found = {
            "accuracy": mean(chosen == targets, units, share=True),
            "f1": macro_f1(chosen[:, None] == classes, true, units),
        }
        exact = predictions.size <= EXACT_AUROC
        return {**found, "auroc": macro_auroc(predictions, true, units)} if exact else found

    def trivials(self) -> list[Trivial]:
        counts = self.spec.target.counts
        if not self.spec.sizes["train"]:  # a bundle of an earlier version keeps none
            return []
        most = max(range(self.num_outputs), key=counts.__getitem__)
        return [Trivial(f"always saying '{self.classes[most]}'", torch.eye(self.num_outputs)[most])]

    def diagnosis(self) -> "Metric":
        from ftlab.tasks.calibration import TRIED, Answered

        tried = TRIED if self.calibrate or self.temperature != 1 else (1.0,)
        return Answered(self.num_outputs, tried)

    def settle(self, diagnosis: "Answers") -> None:
        if self.calibrate:
            self.temperature = diagnosis.best()

    def settled(self) -> dict[str, Any]:
        weights = "none" if self.class_weights is None else self.class_weights.tolist()
        return {"class_weights": weights, "temperature": self.temperature}

    def section(self, diagnosis: "Answers", split: str) -> dict[str, Any]:
        return {
            "confusion": {"split": split, "matrix": diagnosis.matrix.tolist()},
            "calibration": diagnosis.section(split, self.temperature),
        }

    def calibrated(self, predictions: Tensor) -> Tensor:
        return tempered(predictions, self.temperature)

    def describe(self, predictions: Tensor, top_k: int) -> list[dict[str, Any]]:
        """Figures are of probabilities as they are; what is said is calibrated."""
        classes = self.classes
        top = self.calibrated(predictions).topk(min(top_k, self.num_outputs), dim=1)
        return [
            {
                "class": classes[places[0]],
                "probability": chances[0],
                "top": [{"class": classes[i], "probability": p} for i, p in zip(places, chances, strict=True)],
            }
            for places, chances in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

    def flat(self, record: Mapping[str, Any], prediction: Tensor) -> dict[str, Any]:
        """With the probability of each class in place of the most probable ones."""
        kept = {key: value for key, value in record.items() if key != "top"}
        chances = self.calibrated(prediction[None])[0]
        return {**kept, "probabilities": dict(zip(self.classes, chances.tolist(), strict=True))}

    def worst(self, predictions: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        """The most confident mistakes."""
        confidence, prediction = predictions.max(dim=1)
        wrong = torch.nonzero(prediction != targets).flatten()
        worst = wrong[confidence[wrong].argsort(descending=True)]
        return [
            {
                "position": i,
                "truth": self.classes[targets[i]],
                "prediction": self.classes[prediction[i]],
                "severity": float(confidence[i]),
                "note": f"{confidence[i]:.1%}",
            }
            for i in worst.tolist()
        ]


def _weights(
    setting: str | list[float] | Mapping[str, float], counts: tuple[int, ...], classes: Sequence[str]
) -> Tensor | None:
    weights = class_weights(setting, counts, classes)
    return None if weights is None else torch.tensor(weights)
