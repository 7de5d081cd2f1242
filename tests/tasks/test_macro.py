"""Means over the classes that there are: against scikit-learn's with zero_division=nan, and torchmetrics' own.

Shapes: n samples, k classes or labels.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor
from torch.nn import functional
from torchmetrics import classification as tm

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.evaluation import Evaluation
from ftlab.tasks import classification, multilabel
from ftlab.tasks.base import Task
from ftlab.tasks.classification import Classification
from ftlab.tasks.confusion import per_class
from ftlab.tasks.multilabel import Multilabel

MACRO = ("precision", "recall", "f1", "auroc")
TASKS = pytest.mark.parametrize("kind", [Classification, Multilabel])


def task_of(kind: Any, k: int) -> Any:
    return kind(DataSpec("test", kind.takes(tuple("abcdefgh"[:k]), (1,) * k), {"train": k}))


def evaluated(task: Task, logits: Tensor, targets: Tensor) -> Evaluation:
    """Fed in two batches."""
    found = Evaluation(task, len(targets), keep=1, shared=False)
    for part in torch.arange(len(targets)).split(-(-len(targets) // 2)):
        found.update(logits[part], Batch(targets=targets[part], index=part))
    return found


def samples(kind: Any, n: int, k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (n, k) that are often right, and targets."""
    generator = torch.Generator().manual_seed(seed)
    if kind is Multilabel:
        targets = (torch.rand(n, k, generator=generator) < 0.4).float()
        return torch.randn(n, k, generator=generator) + 2 * targets - 1, targets
    targets = torch.randint(k, (n,), generator=generator)
    return torch.randn(n, k, generator=generator) + 2 * functional.one_hot(targets, k), targets


def by_class(kind: Any, logits: Tensor, targets: Tensor) -> dict[str, list[float]]:
    """Figures of each class by scikit-learn; nan where one is undefined."""
    k = logits.shape[1]
    if kind is Multilabel:
        truth, chances = targets.int().numpy(), logits.sigmoid().numpy()
        predicted = (chances > 0.5).astype(int)
        each: dict[str, Any] = {"average": None, "zero_division": np.nan}
        figures = sk.precision_recall_fscore_support(truth, predicted, **each)
    else:
        truth, chances = functional.one_hot(targets, k).numpy(), logits.softmax(1).numpy()
        figures = sk.precision_recall_fscore_support(
            targets.numpy(), chances.argmax(1), average=None, labels=range(k), zero_division=np.nan
        )
    auroc = [
        sk.roc_auc_score(column, score) if 0 < column.sum() < len(column) else math.nan
        for column, score in zip(truth.T, chances.T, strict=True)
    ]
    return dict(zip(MACRO, (*figures[:3], auroc), strict=True))


@TASKS
@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("seed", range(4))
def test_where_all_classes_are_there_the_means_are_torchmetrics_to_the_bit(kind: Any, k: int, seed: int) -> None:
    logits, targets = samples(kind, 97, k, seed)
    if seed == 3:
        logits[:, 0] = -20  # never predicted: its precision counts as 0
    figures, warned = evaluated(task_of(kind, k), logits, targets).figures()
    name = "Multiclass" if kind is Classification else "Multilabel"
    chances = logits.softmax(1) if kind is Classification else logits.sigmoid()
    for figure, of in zip(MACRO, ("Precision", "Recall", "F1Score", "AUROC"), strict=True):
        metric = getattr(tm, name + of)(k, average="macro")
        metric.update(chances[:49], targets[:49].long())
        metric.update(chances[49:], targets[49:].long())
        assert figures[figure] == float(metric.compute()), figure
    assert warned == []


@TASKS
@pytest.mark.parametrize("predicted", [False, True])
def test_a_class_without_samples_is_left_out_of_the_means_and_told_once(kind: Any, predicted: bool) -> None:
    logits, targets = samples(kind, 80, 5)
    if kind is Classification:
        targets[targets == 2] = 1
    else:
        targets[:, 2] = 0
    logits[:, 2] = -20
    if predicted:
        logits[:3, 2] = 20
    figures, warned = evaluated(task_of(kind, 5), logits, targets).figures()
    expected = by_class(kind, logits, targets)
    assert [math.isnan(expected[name][2]) for name in MACRO] == [not predicted, True, not predicted, True]
    for name in MACRO:
        assert figures[name] == pytest.approx(np.nanmean(expected[name]), abs=1e-6), name
    word = "classes" if kind is Classification else "labels"
    assert warned == [
        f"auroc and recall are means over 4 of 5 {word}: no sample of 'c'; "
        "precision and f1 count one of these as 0 if it is predicted, else not at all"
    ]  # the same whatever is predicted, so that a run counts one text


@pytest.mark.parametrize("module", [classification, multilabel])
def test_binned_curves_leave_a_class_without_samples_out_too(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_AUROC", 10)
    kind = Classification if module is classification else Multilabel
    logits, targets = samples(kind, 80, 3)
    if kind is Classification:
        targets[targets == 2] = 1
    else:
        targets[:, 2] = 0
    found = evaluated(task_of(kind, 3), logits, targets)
    assert found.metrics["auroc"].thresholds is not None
    expected = np.nanmean(by_class(kind, logits, targets)["auroc"])
    assert found.figures()[0]["auroc"] == pytest.approx(expected, abs=0.01)


def test_a_label_of_every_sample_has_a_recall_and_no_auroc() -> None:
    logits, targets = samples(Multilabel, 80, 4)
    targets[:, 1], targets[:, 3] = 1, 0
    figures, warned = evaluated(task_of(Multilabel, 4), logits, targets).figures()
    expected = by_class(Multilabel, logits, targets)
    assert np.isnan(expected["auroc"]).tolist() == [False, True, False, True]
    assert np.isnan(expected["recall"]).tolist() == [False, False, False, True]
    for name in MACRO:
        assert figures[name] == pytest.approx(np.nanmean(expected[name]), abs=1e-6), name
    assert warned[0] == "auroc is a mean over 2 of 4 labels: no sample of 'd', every sample is of 'b'"
    assert warned[1].startswith("recall is a mean over 3 of 4 labels: no sample of 'd'; ")
    assert len(warned) == 2


def test_a_split_of_one_class_has_no_auroc() -> None:
    logits, _ = samples(Classification, 20, 3)
    figures, warned = evaluated(task_of(Classification, 3), logits, torch.full((20,), 1)).figures()
    hits = int((logits.argmax(1) == 1).sum())
    assert figures["auroc"] is None
    assert figures["recall"] == pytest.approx(hits / 20)
    assert warned[0] == "auroc is undefined: no sample of 'a', 'c', every sample is of 'b'"
    assert figures["accuracy"] == pytest.approx(hits / 20)


@pytest.mark.parametrize("alarms", [0, 2])
def test_a_split_without_any_label_has_no_figure_but_accuracy_and_what_is_predicted_there_is_wrong(alarms: int) -> None:
    logits = torch.full((6, 3), -3.0)
    logits[:alarms, 0] = 3
    figures, warned = evaluated(task_of(Multilabel, 3), logits, torch.zeros(6, 3)).figures()
    assert figures["auroc"] is figures["recall"] is None
    assert figures["f1"] == figures["precision"] == (0 if alarms else None)
    assert figures["accuracy"] == pytest.approx(1 - alarms / 18)
    assert figures["exact_match"] == pytest.approx(1 - alarms / 6)
    assert warned[0].startswith("auroc and recall are undefined: no sample of 'a', 'b', 'c'; ")
    assert warned[1:] == ["precision and f1 are undefined: none of the labels is there or predicted"] * (not alarms)


def mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


@TASKS
def test_the_means_of_the_reports_table_are_the_figures_above_it(kind: Any) -> None:
    """The table of a class that is absent, one that is absent and predicted, one that is never predicted."""
    logits, targets = samples(kind, 80, 6)
    if kind is Classification:
        targets[(targets == 1) | (targets == 2)] = 0
    else:
        targets[:, 1:3] = 0
    logits[:, [1, 3]] = -20
    logits[:2, 2] = 20
    task = task_of(kind, 6)
    found = evaluated(task, logits, targets)
    assert found.diagnosis is not None
    section = task.section(found.diagnosis.compute(), "test")
    rows = (
        [row._asdict() for row in per_class(section["confusion"]["matrix"], task.spec.target.classes)]
        if kind is Classification
        else section["labels"]
    )
    assert [rows[1][name] for name in MACRO[:3]] == [None, None, None]
    assert [rows[2][name] for name in MACRO[:3]] == [0, None, 0]
    assert [rows[3][name] for name in MACRO[:3]] == [0, 0, 0]
    figures, _ = found.figures()
    for name in MACRO[:3]:
        assert figures[name] == pytest.approx(mean([row[name] for row in rows]), abs=1e-6), name


def test_many_absent_classes_are_counted_and_the_first_named() -> None:
    logits, targets = samples(Classification, 40, 8)
    _, warned = evaluated(task_of(Classification, 8), logits, targets % 2).figures()
    assert warned[0].startswith(
        "auroc and recall are means over 2 of 8 classes: no sample of 'c', 'd', 'e', 'f' and 2 more; "
    )


@TASKS
def test_counts_are_no_figure_that_a_run_can_monitor(kind: Any) -> None:
    logits, targets = samples(kind, 40, 6)
    task = task_of(kind, 6)
    figures = evaluated(task, logits, targets).figures()[0].keys() - {"loss"}
    assert task.better == dict.fromkeys(figures, "max")
    assert task.scales == dict.fromkeys(figures, (0.0, 1.0))
