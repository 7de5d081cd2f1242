"""Losses against torch's own and the formula, figures against scikit-learn's over the whole split.

Shapes: n samples, b batch, k classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.config import options
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation
from ftlab.targets.classes import Classes
from ftlab.tasks.classification import BINS, EXACT_AUROC, Classification

K = 7
COUNTS = (50, 5, 20, 1, 9, 30, 10)


def spec(classes: int = K, counts: Sequence[int] = COUNTS) -> DataSpec:
    return DataSpec("test", Classes(tuple(f"class {i}" for i in range(classes)), tuple(counts)), {"train": sum(counts)})


def batch_of(targets: Tensor, first: int = 0) -> Batch:
    return Batch(targets=targets, index=torch.arange(first, first + len(targets)))


def samples(n: int, k: int = K, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (n, k) that are right about half of the time, and targets (n,)."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(k, (n,), generator=generator)
    return torch.randn(n, k, generator=generator) + 2 * functional.one_hot(targets, k), targets


def soft(n: int, seed: int = 1) -> Tensor:
    return torch.rand(n, K, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)


WEIGHTS = [1.0, 0.5, 2.0, 3.0, 0.0, 1.5, 0.7]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", WEIGHTS])
def test_cross_entropy_divided_by_its_weight_is_torchs_mean(weights: Any, smoothing: float) -> None:
    task = Classification(spec(), label_smoothing=smoothing, class_weights=weights)
    logits, targets = samples(40)
    total, weight = task.loss(logits, batch_of(targets))
    given = None if weights == "none" else torch.tensor(WEIGHTS)
    expected = functional.cross_entropy(logits, targets, given, label_smoothing=smoothing)
    torch.testing.assert_close(total / weight, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", WEIGHTS])
def test_cross_entropy_of_soft_targets_sums_to_torchs_sum(weights: Any, smoothing: float) -> None:
    task = Classification(spec(), label_smoothing=smoothing, class_weights=weights)
    logits, _ = samples(40)
    chances = soft(40)
    total, weight = task.loss(logits, batch_of(chances))
    given = torch.ones(K) if weights == "none" else torch.tensor(WEIGHTS)
    expected = functional.cross_entropy(logits, chances, given, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(weight, (chances * given).sum())  # 40 without weights, as torch divides


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_soft_targets_that_are_certain_give_the_loss_of_hard_ones(loss: Any) -> None:
    task = Classification(spec(), loss=loss, label_smoothing=0.1, class_weights=WEIGHTS)
    logits, targets = samples(40)
    hard = task.loss(logits, batch_of(targets))
    torch.testing.assert_close(task.loss(logits, batch_of(functional.one_hot(targets, K).float())), hard)


def test_sums_and_weights_of_parts_add_up_to_those_of_the_whole() -> None:
    task = Classification(spec(), class_weights=WEIGHTS)
    logits, targets = samples(40)
    whole = torch.stack(task.loss(logits, batch_of(targets)))
    parts = [torch.stack(task.loss(logits[a:b], batch_of(targets[a:b]))) for a, b in ((0, 3), (3, 25), (25, 40))]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_minus_alpha_times_one_minus_p_to_gamma_times_log_p(gamma: float) -> None:
    task = Classification(spec(), loss="focal", focal_gamma=gamma, class_weights=WEIGHTS)
    logits, targets = samples(40)
    total, weight = task.loss(logits, batch_of(targets))
    alpha = torch.tensor(WEIGHTS)[targets]
    p = logits.softmax(dim=1)[torch.arange(40), targets]
    torch.testing.assert_close(total, (-alpha * (1 - p) ** gamma * p.log()).sum())
    torch.testing.assert_close(weight, alpha.sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_focal_loss_of_any_gamma_has_a_gradient_where_a_sample_is_sure(dtype: torch.dtype) -> None:
    task = Classification(spec(), loss="focal", focal_gamma=0.5)
    logits = (50 * torch.eye(7)).to(dtype).requires_grad_()
    task.loss(logits, batch_of(torch.arange(7)))[0].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_gamma_counts_for_the_focal_loss_only() -> None:
    logits, targets = samples(10)
    plain, sharp = Classification(spec()), Classification(spec(), focal_gamma=5.0)
    torch.testing.assert_close(plain.loss(logits, batch_of(targets)), sharp.loss(logits, batch_of(targets)))


def test_half_precision_outputs_lose_no_small_probability() -> None:
    logits = torch.tensor([[20.0, -20.0, 0, 0, 0, 0, 0]], dtype=torch.float16)
    total, _ = Classification(spec()).loss(logits, batch_of(torch.tensor([1])))
    assert total.dtype == torch.float32
    assert float(total) == pytest.approx(40.0)


def test_balanced_weights_are_scikit_learns() -> None:
    targets = torch.arange(K).repeat_interleave(torch.tensor(COUNTS)).numpy()
    expected = compute_class_weight("balanced", classes=np.arange(K), y=targets)
    weights = Classification(spec(), class_weights="balanced").class_weights
    assert weights is not None
    torch.testing.assert_close(weights.double(), torch.from_numpy(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0, 2.0], ["2 weights", "7 classes"]),
        ([-1.0, *[1.0] * 6], ["0 or more"]),
        ([0.0] * 7, ["above 0"]),
        ([float("nan"), *[1.0] * 6], ["0 or more"]),
    ],
)
def test_class_weights_that_cannot_be_are_refused(weights: list[float], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        Classification(spec(), class_weights=weights)
    assert all(word in str(caught.value) for word in ["task.class_weights", *words]), caught.value


def test_weights_of_0_for_all_classes_that_there_are_are_refused() -> None:
    """Every loss would be 0 / 0."""
    with pytest.raises(UserError, match=r"task.class_weights.*training samples.*weight 0"):
        Classification(spec(3, (10, 10, 0)), class_weights=[0.0, 0.0, 1.0])


def test_one_class_is_no_classification() -> None:
    with pytest.raises(UserError, match=r"1 class.*at least 2"):
        Classification(spec(1, (5,)))


# Figures


def fed(task: Classification, logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> dict[str, float]:
    """The figures of an Evaluation fed in batches of these sizes."""
    found = Evaluation(task, len(targets), shared=False)
    first = 0
    for size in sizes:
        found.update(logits[first : first + size], batch_of(targets[first : first + size], first))
        first += size
    assert first == len(targets)
    return found.figures()[0]


def expected_figures(logits: Tensor, targets: Tensor) -> dict[str, float]:
    truth, prediction, chances = targets.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    labels = list(range(logits.shape[1]))
    macro: dict[str, Any] = {"average": "macro", "labels": labels, "zero_division": 0}
    return {
        "loss": sk.log_loss(truth, chances, labels=labels),
        "accuracy": sk.accuracy_score(truth, prediction),
        "precision": sk.precision_score(truth, prediction, **macro),
        "recall": sk.recall_score(truth, prediction, **macro),
        "f1": sk.f1_score(truth, prediction, **macro),
        "auroc": sk.roc_auc_score(truth, chances, multi_class="ovr", average="macro", labels=labels),
        "accuracy_top5": sk.top_k_accuracy_score(truth, chances, k=5, labels=labels),
    }


@pytest.mark.parametrize("sizes", [[90], [1, 2, 30, 57], [89, 1], [13] * 6 + [12]])
def test_figures_are_scikit_learns_over_the_whole_split_however_it_is_fed(sizes: list[int]) -> None:
    logits, targets = samples(90)
    expected = expected_figures(logits, targets)
    assert 0.3 < expected["accuracy"] < 0.9 < expected["accuracy_top5"] < 1  # all of them say something
    assert fed(Classification(spec()), logits, targets, sizes) == pytest.approx(expected, abs=1e-6)


def test_a_first_batch_that_is_all_right_merges_no_figures() -> None:
    """Groups that torchmetrics finds by itself from it would give f1 the counts of the top 5."""
    logits, targets = samples(90)
    right = logits.argmax(1) == targets
    order = torch.cat([torch.where(right)[0], torch.where(~right)[0]])
    logits, targets = logits[order], targets[order]
    first = int(right.sum())
    expected = expected_figures(logits, targets)
    assert expected["f1"] != pytest.approx(expected["accuracy_top5"], abs=0.05)
    assert fed(Classification(spec()), logits, targets, [first, 90 - first]) == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_a_split_is_weighted_as_the_training_loss() -> None:
    logits, targets = samples(90)
    found = fed(Classification(spec(), class_weights=WEIGHTS), logits, targets, [60, 30])
    assert found["loss"] == pytest.approx(float(functional.cross_entropy(logits, targets, torch.tensor(WEIGHTS))))


def test_top_5_is_a_figure_of_more_than_5_classes_only() -> None:
    assert "accuracy_top5" not in Classification(spec(5, (1,) * 5)).metrics(10)
    assert "accuracy_top5" in Classification(spec(6, (1,) * 6)).metrics(10)


def test_two_classes_have_the_same_figures() -> None:
    logits, targets = samples(50, k=2)
    found = fed(Classification(spec(2, (25, 25))), logits, targets, [20, 30])
    truth, prediction = targets.numpy(), logits.argmax(1).numpy()
    assert found["f1"] == pytest.approx(sk.f1_score(truth, prediction, average="macro"), abs=1e-6)
    chances = logits.softmax(1)[:, 1].numpy()
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(truth, chances), abs=1e-6)


def test_a_class_without_samples_is_told_and_spoils_no_other_figure() -> None:
    logits, targets = samples(60)
    targets = targets.clamp(max=K - 2)  # none of the last class
    found = Evaluation(Classification(spec()), 60, shared=False)
    found.update(logits, batch_of(targets))
    figures, warnings = found.figures()
    assert figures["accuracy"] == pytest.approx(sk.accuracy_score(targets.numpy(), logits.argmax(1).numpy()))
    assert [text.split(":")[0] for text in warnings] == ["auroc and recall are means over 6 of 7 classes"]


def test_a_curve_of_very_many_scores_is_binned_within_a_hundredth() -> None:
    task = Classification(spec())
    assert task.metrics(EXACT_AUROC // K)["auroc"].thresholds is None
    binned = task.metrics(EXACT_AUROC // K + 1)["auroc"]
    assert len(binned.thresholds) == BINS
    logits, targets = samples(300)
    binned.update(logits.softmax(1), targets)
    assert float(binned.compute().mean()) == pytest.approx(expected_figures(logits, targets)["auroc"], abs=0.01)


def test_the_confusion_matrix_is_scikit_learns() -> None:
    logits, targets = samples(90)
    found = Evaluation(Classification(spec()), 90, keep=3, shared=False)
    for part in (slice(0, 40), slice(40, 90)):
        found.update(logits[part], batch_of(targets[part], part.start))
    assert found.diagnosis is not None
    expected = sk.confusion_matrix(targets.numpy(), logits.argmax(1).numpy(), labels=range(K))
    assert found.diagnosis.compute().matrix.tolist() == expected.tolist()


# Records


def test_a_prediction_names_the_class_and_the_most_probable_ones_in_order() -> None:
    task = Classification(spec(3, (1, 1, 1)))
    first, second = task.describe(torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]), top_k=2)
    assert first["class"] == "class 1"
    assert first["probability"] == pytest.approx(0.5)
    assert [(t["class"], pytest.approx(t["probability"])) for t in first["top"]] == [("class 1", 0.5), ("class 2", 0.3)]
    assert second["class"] == "class 0"
    assert len(task.describe(torch.tensor([[0.2, 0.5, 0.3]]), top_k=9)[0]["top"]) == 3


def test_mistakes_are_the_wrong_samples_with_the_most_confident_first() -> None:
    task = Classification(spec(3, (1, 1, 1)))
    chances = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.5, 0.4, 0.1]])
    found = task.worst(chances, torch.tensor([1, 1, 0, 2]))
    assert [(m["position"], m["truth"], m["prediction"]) for m in found] == [
        (2, "class 0", "class 2"),
        (0, "class 1", "class 0"),
        (3, "class 2", "class 0"),
    ]
    assert [m["severity"] for m in found] == pytest.approx([0.7, 0.6, 0.5])


def test_the_settings_of_the_option_are_the_defaults() -> None:
    node = {key: value for key, value in options("task")["classification"].items() if key != "_target_"}
    task = Classification(spec(), **{**node, "label_smoothing": 0.0})  # auto: see test_sized
    assert (task.class_weights, task.label_smoothing, task.focal_gamma) == (None, 0.0, 0.0)


def test_class_weights_may_be_given_by_name_and_are_1_for_all_others() -> None:
    weights = Classification(spec(), class_weights={"class 2": 50, "class 0": 0.5}).class_weights
    assert weights is not None
    assert weights.tolist() == [0.5, 1.0, 50.0, 1.0, 1.0, 1.0, 1.0]
    with pytest.raises(UserError, match=r"task.class_weights: 'clas 2' is no class; did you mean 'class 2'"):
        Classification(spec(), class_weights={"clas 2": 2})
