"""How far the probabilities of a classification can be trusted, and the temperature that brings them nearer to it.

Guo et al. 2017, "On Calibration of Modern Neural Networks": outputs are divided by one number, found on val, before the
softmax; which class is the most probable stays. Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using
Bayesian Binning": the expected calibration error is the mean over samples of the distance between how sure and how
often right the answers are, in bins of how sure they are.

Shapes: b batch, k classes, t temperatures, s bins.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix

from ftlab.tasks.tempering import LEAST, tempered

BINS = 15  # as Guo et al.
FINE = 0.05  # of the logarithm of the temperature, from one that is tried to the next
TRIED = tuple(float(t) for t in torch.arange(-60, 61).mul(FINE).exp())  # 0.05 to 20


class Answers:
    """What became of the answers of a split. No dataclass: torchmetrics would take it apart."""

    def __init__(self, matrix: Tensor, temperatures: Sequence[float], bins: Tensor, loss: Tensor) -> None:
        """matrix: (k, k) counts, rows are the truth, columns the prediction. bins: (t, s, 3), samples, the sum of
        their probabilities, how many are right. loss: (t,) sums of -log of the true class's probability."""
        self.matrix, self.temperatures, self.bins, self.loss = matrix, temperatures, bins, loss

    def best(self) -> float:
        """The temperature with the least loss: of those that were tried, refined by the parabola through its
        neighbours."""
        place, logs = int(self.loss.argmin()), [torch.tensor(t).log().item() for t in self.temperatures]
        if place in (0, len(logs) - 1):
            return self.temperatures[place]
        left, low, right = self.loss[place - 1 : place + 2].tolist()
        bend = left - 2 * low + right
        return float(torch.tensor(logs[place] + (FINE * 0.5 * (left - right) / bend if bend else 0.0)).exp())

    def nearest(self, temperature: float) -> int:
        """The place of the tried temperature that is nearest."""
        wanted = torch.tensor(self.temperatures).log() - torch.tensor(temperature).log()
        return int(wanted.abs().argmin())

    def error(self, temperature: float = 1.0) -> float | None:
        """The expected calibration error; None without a sample."""
        samples, sure, right = self.bins[self.nearest(temperature)].unbind(dim=1)
        total = samples.sum()
        return float((sure - right).abs().sum() / total) if total else None

    def section(self, split: str, temperature: float) -> dict[str, Any]:
        """What report.json tells of it."""
        rows = self.bins[self.nearest(temperature)].tolist()
        bins = [
            {"from": place / BINS, "to": (place + 1) / BINS, "samples": int(n), "sure": sure / n, "right": right / n}
            for place, (n, sure, right) in enumerate(rows)
            if n
        ]
        told = {"split": split, "error": self.error(temperature), "temperature": temperature, "bins": bins}
        return told if temperature == 1 else {**told, "before": self.error()}


class Answered(Metric):
    """Takes probabilities (b, k) and classes (b,); gives Answers. Sums alone, so ranks add theirs."""

    full_state_update = False
    matrix: Tensor
    bins: Tensor
    loss: Tensor

    def __init__(self, classes: int, temperatures: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.classes, self.temperatures = classes, tuple(temperatures)
        self.add_state("matrix", torch.zeros(classes, classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("bins", torch.zeros(len(self.temperatures), BINS, 3, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("loss", torch.zeros(len(self.temperatures), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        self.matrix += multiclass_confusion_matrix(predictions, targets, self.classes)
        right = predictions.argmax(dim=1) == targets
        for place, temperature in enumerate(self.temperatures):
            probabilities = tempered(predictions, temperature)
            sure = probabilities.max(dim=1).values.double()
            bins = (sure * BINS).long().clamp_max(BINS - 1)
            parts = torch.stack([torch.ones_like(sure), sure, right.double()], dim=1)
            self.bins[place].index_add_(0, bins, parts)
            true = probabilities.gather(1, targets[:, None]).clamp_min(LEAST)
            self.loss[place] -= true.double().log().sum()

    def compute(self) -> Answers:
        return Answers(self.matrix, self.temperatures, self.bins, self.loss)
