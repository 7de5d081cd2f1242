"""Any number of labels a sample.

Shapes: b batch, k labels.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.targets.labels import Labels
from ftlab.tasks.base import Task, Trivial
from ftlab.tasks.classification import BINS, EXACT_AUROC
from ftlab.tasks.counts import quality
from ftlab.tasks.macro import COUNTS, means

if TYPE_CHECKING:
    import numpy as np
    from torchmetrics import Metric, MetricCollection

    from ftlab.convex.standardised import Layer
    from ftlab.tasks.sums import Sums, Units


class Multilabel(Task):
    """Binary cross entropy for each label; figures are means over the labels (macro)."""

    name = "multilabel"
    takes = Labels
    objective = "f1"
    predict_settings: Mapping[str, Any] = MappingProxyType({"top_k": 5})  # most probable classes to list
    of_lines = ("top_k",)
    worst_title = "The most confident mistakes"
    pos_weight: Tensor | None  # (k,)

    def __init__(
        self,
        spec: DataSpec,
        pos_weight: str | list[float] = "none",
        threshold: float = 0.5,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(spec)
        self.classes = spec.target.classes
        self.num_outputs = len(self.classes)
        self.threshold = threshold
        self.label_smoothing = label_smoothing
        self.register_buffer("pos_weight", _pos_weight(pos_weight, spec), persistent=False)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        targets = batch.targets.to(outputs.device, torch.float32)
        smooth = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        terms = functional.binary_cross_entropy_with_logits(
            outputs.float(), smooth, pos_weight=self.pos_weight, reduction="none"
        )
        return terms.mean(dim=1).sum(), outputs.new_full((), len(outputs), dtype=torch.float32)

    def refuses_convex(self) -> str | None:
        return None

    def last_layer(self, features: Tensor, targets: Tensor, strength: float | None) -> "Layer":
        from ftlab.convex.logistic import one_vs_rest  # scipy takes a while to import

        return one_vs_rest(
            features, targets, pos_weight=self.pos_weight, label_smoothing=self.label_smoothing, strength=strength
        )

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.float().sigmoid()

    def compared(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return predictions, targets.long()

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection
        from torchmetrics.classification import (
            MultilabelAccuracy,
            MultilabelAUROC,
            MultilabelExactMatch,
            MultilabelF1Score,
            MultilabelPrecision,
            MultilabelRecall,
            MultilabelStatScores,
        )

        k = self.num_outputs
        at: dict[str, Any] = {"num_labels": k, "threshold": self.threshold}
        bins = BINS if samples * k > EXACT_AUROC else None
        return MetricCollection(
            {
                "accuracy": MultilabelAccuracy(average="macro", **at),
                "precision": MultilabelPrecision(average=None, **at),
                "recall": MultilabelRecall(average=None, **at),
                "f1": MultilabelF1Score(average=None, **at),
                "exact_match": MultilabelExactMatch(**at),
                "auroc": MultilabelAUROC(k, average=None, thresholds=bins),
                COUNTS: MultilabelStatScores(average=None, **at),
            },
            compute_groups=[
                ["accuracy", "precision", "recall", "f1", COUNTS],
                ["exact_match"],
                ["auroc"],
            ],  # see classification
        )

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        return means(values, self.classes, "labels")

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "dict[str, Sums]":
        from ftlab.tasks.sums import macro_auroc, macro_f1, mean

        said, true = predictions > self.threshold, targets > 0
        found = {
            "f1": macro_f1(said, true, units),
            "accuracy": mean((said == true).mean(axis=1), units),
            "exact_match": mean((said == true).all(axis=1), units, share=True),
        }
        exact = predictions.size <= EXACT_AUROC
        return {**found, "auroc": macro_auroc(predictions, true, units)} if exact else found

    def trivials(self) -> list[Trivial]:
        """The shares of train, and every label at once: without a look at the input nothing has a higher f1 (Lipton,
        Elkan and Naryanaswamy 2014, "Optimal Thresholding of Classifiers to Maximize F1 Measure").
        """
        samples = self.spec.sizes["train"]
        if not samples:  # a bundle of an earlier version keeps none
            return []
        shares = torch.tensor(self.spec.target.counts) / samples
        return [Trivial("always saying the shares of train", shares),
                Trivial("always saying every label", torch.ones(self.num_outputs))]  # fmt: skip

    def diagnosis(self) -> "Metric":
        from torchmetrics.classification import MultilabelConfusionMatrix

        return MultilabelConfusionMatrix(self.num_outputs, threshold=self.threshold)

    def settled(self) -> dict[str, Any]:
        return {"pos_weight": "none" if self.pos_weight is None else self.pos_weight.tolist()}

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        """One row of figures a label, of its 2 by 2 counts (k, 2, 2)."""
        counts = zip(self.classes, diagnosis.tolist(), strict=True)
        return {"labels": [label_figures(label, matrix) for label, matrix in counts]}

    def describe(self, predictions: Tensor, top_k: int) -> list[dict[str, Any]]:
        top = predictions.topk(min(top_k, self.num_outputs), dim=1)
        return [
            {
                "labels": [c for c, p in zip(self.classes, row, strict=True) if p > self.threshold],
                "top": [{"class": self.classes[i], "probability": p} for i, p in zip(places, chances, strict=True)],
            }
            for row, places, chances in zip(
                predictions.tolist(), top.indices.tolist(), top.values.tolist(), strict=True
            )
        ]

    def flat(self, record: Mapping[str, Any], prediction: Tensor) -> dict[str, Any]:
        """With the probability of each class in place of the most probable ones."""
        kept = {key: value for key, value in record.items() if key != "top"}
        return {**kept, "probabilities": dict(zip(self.classes, prediction.tolist(), strict=True))}

    def worst(self, predictions: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        """A sample is as wrong as its worst label; wrong by the threshold, as in the metrics."""
        wrong = (predictions > self.threshold) != (targets > 0.5)
        error = (predictions - targets).abs() * wrong
        worst, label = error.max(dim=1)
        order = worst.argsort(descending=True)
        return [
            {
                "position": i,
                "truth": ("" if targets[i, label[i]] else "not ") + self.classes[label[i]],
                "prediction": ("not " if targets[i, label[i]] else "") + self.classes[label[i]],
                "severity": float(worst[i]),
                "note": f"{worst[i]:.1%}",
            }
            for i in order.tolist()
            if wrong[i].any()
        ]


def _pos_weight(setting: str | list[float], spec: DataSpec) -> Tensor | None:
    """none, balanced (samples without the label / samples with it), or one a label."""
    if setting == "none":
        return None
    if setting == "balanced":
        samples = spec.sizes["train"]
        return torch.tensor([(samples - count) / max(1, count) for count in spec.target.counts])
    if len(setting) != len(spec.target.classes):
        raise UserError(
            f"task.pos_weight: {len(setting)} weights for {len(spec.target.classes)} labels; give one a label"
        )
    return torch.tensor([float(w) for w in setting])


def label_figures(label: str, matrix: list[list[int]]) -> dict[str, Any]:
    """Precision, recall and f1 of a label from its 2 by 2 counts; None where a figure is undefined."""
    (_, alarms), (misses, hits) = matrix
    precision, recall, f1 = quality(hits, hits + alarms, hits + misses)
    return {"label": label, "precision": precision, "recall": recall, "f1": f1, "support": hits + misses}
