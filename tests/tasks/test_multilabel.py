"""Losses against torch's own, figures against scikit-learn's over the whole split.

Shapes: n samples, b batch, k labels.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.tasks.multilabel import Multilabel

K = 4
COUNTS = (50, 20, 5, 80)


def spec() -> DataSpec:
    return DataSpec("test", Labels(tuple("abcd"), COUNTS), {"train": 100})


def batch_of(targets: Tensor, first: int = 0) -> Batch:
    return Batch(targets=targets, index=torch.arange(first, first + len(targets)))


def samples(n: int = 80) -> tuple[Tensor, Tensor]:
    """Logits (n, k) that are often right, and targets (n, k)."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(n, K, generator=generator) < torch.tensor([0.5, 0.2, 0.3, 0.8])).float()
    return torch.randn(n, K, generator=generator) + 2 * targets - 1, targets


@pytest.mark.parametrize("weights", ["none", [1.0, 4.0, 0.5, 2.0]])
def test_the_loss_divided_by_its_weight_is_torchs_mean(weights: Any) -> None:
    task = Multilabel(spec(), pos_weight=weights)
    logits, targets = samples()
    total, weight = task.loss(logits, batch_of(targets))
    given = None if weights == "none" else torch.tensor(weights)
    expected = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=given)
    torch.testing.assert_close(total / weight, expected)
    assert float(weight) == len(targets)


def test_smoothing_moves_the_truth_towards_one_half() -> None:
    logits, targets = samples()
    total, weight = Multilabel(spec(), label_smoothing=0.2).loss(logits, batch_of(targets))
    expected = functional.binary_cross_entropy_with_logits(logits, 0.1 + 0.8 * targets)
    torch.testing.assert_close(total / weight, expected)


def test_balanced_weights_are_samples_without_over_samples_with_the_label() -> None:
    weights = Multilabel(spec(), pos_weight="balanced").pos_weight
    assert weights is not None
    assert weights.tolist() == [(100 - count) / count for count in COUNTS]


def test_weights_of_another_number_than_the_labels_are_refused() -> None:
    with pytest.raises(UserError, match=r"task.pos_weight.*2 weights.*4 labels"):
        Multilabel(spec(), pos_weight=[1.0, 2.0])


def test_one_class_a_sample_is_told_to_be_the_other_task() -> None:
    with pytest.raises(UserError, match="task=classification"):
        Multilabel(DataSpec("test", Classes(("a", "b")), {"train": 9}))


def expected_figures(logits: Tensor, targets: Tensor, threshold: float) -> dict[str, float]:
    truth, chances = targets.int().numpy(), logits.sigmoid().numpy()
    prediction = (chances > threshold).astype(int)
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    return {
        "loss": float(functional.binary_cross_entropy_with_logits(logits, targets)),
        "accuracy": (truth == prediction).mean(),
        "exact_match": sk.accuracy_score(truth, prediction),
        "precision": sk.precision_score(truth, prediction, **macro),
        "recall": sk.recall_score(truth, prediction, **macro),
        "f1": sk.f1_score(truth, prediction, **macro),
        "auroc": sk.roc_auc_score(truth, chances, average="macro"),
    }


@pytest.mark.parametrize("threshold", [0.5, 0.3])
@pytest.mark.parametrize("sizes", [[80], [1, 30, 49], [79, 1]])
def test_figures_are_scikit_learns_over_the_whole_split_however_it_is_fed(
    sizes: Sequence[int], threshold: float
) -> None:
    logits, targets = samples()
    found = Evaluation(Multilabel(spec(), threshold=threshold), len(targets), shared=False)
    first = 0
    for size in sizes:
        found.update(logits[first : first + size], batch_of(targets[first : first + size], first))
        first += size
    assert found.figures()[0] == pytest.approx(expected_figures(logits, targets, threshold), abs=1e-6)


def test_a_first_batch_that_is_all_right_merges_no_figures() -> None:
    logits, targets = samples()
    right = ((logits > 0) == (targets > 0.5)).all(dim=1)
    order = torch.cat([torch.where(right)[0], torch.where(~right)[0]])
    logits, targets, first = logits[order], targets[order], int(right.sum())
    assert 5 < first < 75
    found = Evaluation(Multilabel(spec()), len(targets), shared=False)
    found.update(logits[:first], batch_of(targets[:first]))
    found.update(logits[first:], batch_of(targets[first:], first))
    assert found.figures()[0] == pytest.approx(expected_figures(logits, targets, 0.5), abs=1e-6)


def test_the_confusion_of_each_label_is_scikit_learns() -> None:
    logits, targets = samples()
    found = Evaluation(Multilabel(spec(), threshold=0.3), len(targets), keep=1, shared=False)
    found.update(logits, batch_of(targets))
    assert found.diagnosis is not None
    expected = sk.multilabel_confusion_matrix(targets.numpy(), logits.sigmoid().numpy() > 0.3)
    assert found.diagnosis.compute().tolist() == expected.tolist()


def test_a_prediction_names_the_labels_above_the_threshold_and_the_most_probable_ones() -> None:
    chances = torch.tensor([[0.9, 0.2, 0.4, 0.1], [0.1, 0.2, 0.0, 0.05]])
    first, second = Multilabel(spec(), threshold=0.3).describe(chances, top_k=3)
    assert first["labels"] == ["a", "c"]
    assert [t["class"] for t in first["top"]] == ["a", "c", "b"]
    assert second["labels"] == []


def test_mistakes_are_the_samples_with_a_wrong_label_the_worst_first() -> None:
    chances = torch.tensor([[0.9, 0.2, 0.4, 0.1], [0.1, 0.95, 0.0, 0.2], [0.7, 0.1, 0.1, 0.1]])
    targets = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    found = Multilabel(spec()).worst(chances, targets)
    assert [(m["position"], m["truth"], m["prediction"]) for m in found] == [(1, "not b", "b"), (0, "not a", "a")]
    assert [m["severity"] for m in found] == pytest.approx([0.95, 0.9])


def test_a_label_is_wrong_by_the_threshold_not_by_one_half() -> None:
    chances = torch.tensor([[0.4, 0.1, 0.1, 0.1], [0.4, 0.1, 0.1, 0.1]])
    targets = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0]])
    (low,) = Multilabel(spec(), threshold=0.3).worst(chances, targets)
    assert (low["position"], low["truth"], low["prediction"]) == (0, "not a", "a")
    (high,) = Multilabel(spec(), threshold=0.5).worst(chances, targets)
    assert (high["position"], high["truth"], high["prediction"]) == (1, "a", "not a")
