"""Intervals of figures, and figures beside those of a trivial predictor.

Shapes: n samples, r resamples, k classes, labels or targets.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn import metrics
from torch import Tensor

from ftlab.data.base import DataSpec
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.targets.numbers import Numbers
from ftlab.tasks.base import Task
from ftlab.tasks.classification import Classification
from ftlab.tasks.multilabel import Multilabel
from ftlab.tasks.regression import Regression
from ftlab.tasks.resampling import MOST, Judged, by_split, drawn, exact, judged, remarks, units_of

Made = tuple[Task, Tensor, Tensor]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classes(n: int, signal: float, counts: tuple[int, ...] = (40, 30, 30)) -> Made:
    """Scores (n, k) that know the class as far as there is a signal; classes as often as in train."""
    spec = DataSpec("test", Classes(("ant", "bee", "cat")[: len(counts)], counts), {"train": sum(counts)})
    targets = torch.multinomial(torch.tensor(counts).float(), n, replacement=True, generator=chance())
    scores = torch.randn(n, len(counts), generator=chance(1))
    scores[torch.arange(n), targets] += signal
    return Classification(spec), scores.softmax(dim=1), targets


def labels(n: int, signal: float) -> Made:
    spec = DataSpec("test", Labels(("old", "wet"), (30, 60)), {"train": 100})
    targets = (torch.rand(n, 2, generator=chance()) < torch.tensor([0.3, 0.6])).long()
    scores = torch.randn(n, 2, generator=chance(1)) + signal * (targets - 0.5)
    return Multilabel(spec), scores.sigmoid(), targets


def numbers(n: int, signal: float) -> Made:
    spec = DataSpec("test", Numbers(("age", "year"), (5.0, 2000.0), (3.0, 20.0)), {"train": 100})
    own, noise = torch.randn(n, 2, generator=chance()), torch.randn(n, 2, generator=chance(1))
    mean, std = torch.tensor([5.0, 2000.0]), torch.tensor([3.0, 20.0])
    return Regression(spec), (signal * own + 0.3 * noise) * std + mean, own * std + mean


SEVERAL = {"classification": classes, "multilabel": labels, "regression": numbers}


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL)
def test_each_figure_that_is_resampled_is_the_tasks_own_where_each_sample_is_drawn_once(
    make: Callable[[int, float], Made],
) -> None:
    task, predictions, targets = make(150, 1.0)
    whole = task.metrics(150)
    whole.update(*task.compared(predictions if predictions.shape[1:] != (2,) or task.name == "multilabel"
                                else predictions[..., None], targets))  # fmt: skip
    told = task.figures(whole.compute())
    found = task.sums(predictions.numpy(), targets.numpy(), units_of(150, None, 0))
    assert next(iter(found)) == task.objective
    for name, sums in found.items():
        once = sums.figure(sums.of_units.sum(axis=0, keepdims=True))
        assert once[0] == pytest.approx(told[name], abs=1e-5), name


def test_intervals_are_those_of_figures_that_scikit_learn_computes_of_each_resample() -> None:
    task, predictions, targets = classes(120, 1.0)
    found = judged(task, predictions, targets)
    anew: dict[str, list[float]] = {"f1": [], "auroc": []}
    for place, weights in enumerate(drawn(120, 1000, seed=0)):
        chosen = np.repeat(np.arange(120), weights.astype(int))
        true, scores = targets.numpy()[chosen], predictions.numpy()[chosen].astype(float)
        anew["f1"].append(metrics.f1_score(true, scores.argmax(axis=1), average="macro"))
        scores /= scores.sum(axis=1, keepdims=True)
        if place % 4:  # which takes longest
            continue
        anew["auroc"].append(metrics.roc_auc_score(true, scores, multi_class="ovr", average="macro"))
    for name, values in anew.items():
        expected = tuple(np.quantile(values, [0.025, 0.975]))
        # The area under a curve is resampled to first order, and held against a part; f1 is the same figure.
        assert found.intervals[name] == pytest.approx(expected, abs=0.015 if name == "auroc" else 1e-9), name


def test_the_interval_of_r2_is_that_of_each_resamples_own_r2() -> None:
    task, predictions, targets = numbers(90, 1.0)
    values = []
    for weights in drawn(90, 1000, seed=0):
        chosen = np.repeat(np.arange(90), weights.astype(int))
        values.append(metrics.r2_score(targets.numpy()[chosen], predictions.numpy()[chosen]))
    assert judged(task, predictions, targets).intervals["r2"] == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_groups_are_drawn_whole_so_copies_of_a_sample_make_no_interval_narrower() -> None:
    task, predictions, targets = classes(50, 1.0)
    copies = (task, predictions.repeat_interleave(20, 0), targets.repeat_interleave(20))
    alone = judged(task, predictions, targets).intervals["accuracy"]
    assert judged(*copies, torch.arange(50).repeat_interleave(20)).intervals["accuracy"] == pytest.approx(alone)
    low, high = judged(*copies).intervals["accuracy"]
    assert high - low < (alone[1] - alone[0]) / 3  # a twentieth of the variance


def test_random_blocks_of_many_samples_tell_the_spread_of_a_share() -> None:
    task, predictions, targets = classes(10 * MOST, 1.0)
    low, high = judged(task, predictions, targets).intervals["accuracy"]
    share = float((predictions.argmax(dim=1) == targets).double().mean())
    expected = binom.interval(0.95, 10 * MOST, share)
    assert (high - low) * 10 * MOST == pytest.approx(expected[1] - expected[0], rel=0.1)


def test_a_share_that_no_resample_changes_has_the_interval_of_clopper_and_pearson() -> None:
    task, _, targets = classes(40, 1.0)
    found = judged(task, torch.eye(3)[targets], targets)
    low, high = found.intervals.pop("accuracy")
    assert (binom.pmf(40, 40, low), high) == (pytest.approx(0.025), 1)
    assert exact(0.0, 40) == (0.0, pytest.approx(1 - low))
    assert found.intervals == {}
    assert found.constant == ["f1", "auroc"]
    assert remarks({"val": found}) == ["val: f1 and auroc are the same in all resamples, which gives no interval"]


@pytest.mark.parametrize(("kind", "clear"), [("classification", 1.0), ("multilabel", 3.0), ("regression", 1.0)])
def test_without_signal_no_objective_is_better_than_trivial_and_with_it_it_is(kind: str, clear: float) -> None:
    make = SEVERAL[kind]
    for signal, verdicts in ((0.0, {"no better", "worse"}), (clear, {"better"})):
        task, predictions, targets = make(200, signal)
        found = judged(task, predictions, targets)
        assert found.trivial[task.objective].verdict in verdicts, signal


def test_the_trivial_predictor_says_the_most_frequent_class_of_train_and_is_judged_by_the_same_samples() -> None:
    task, predictions, targets = classes(400, 0.0, counts=(20, 20, 160))
    beside = judged(task, predictions, targets).trivial["accuracy"]
    assert beside.says == "always saying 'cat'"
    assert beside.value == float((targets == 2).double().mean())
    point = float((predictions.argmax(dim=1) == targets).double().mean()) - beside.value
    assert beside.difference[0] < point < beside.difference[1] < 0
    assert beside.verdict == "worse"


def test_an_error_below_that_of_the_training_mean_is_better() -> None:
    task, predictions, targets = numbers(200, 1.0)
    beside = judged(task, predictions, targets).trivial["mae"]
    assert beside.says == "always saying the mean of train"
    assert beside.value == pytest.approx(float((targets - torch.tensor([5.0, 2000.0])).abs().mean()), rel=1e-5)
    assert beside.verdict == "better"
    assert beside.difference[1] < 0


def test_labels_that_are_guessed_are_held_against_saying_all_of_them() -> None:
    """Saying the shares of train has an f1 of 0 for rare labels, which any guess is above."""
    task, predictions, targets = labels(300, 0.0)
    beside = judged(task, predictions, targets).trivial["f1"]
    assert beside.says == "always saying every label"
    expected = metrics.f1_score(targets.numpy(), np.ones((300, 2)), average="macro")
    assert beside.value == pytest.approx(expected)


def test_a_bundle_that_keeps_no_counts_is_held_against_nothing() -> None:
    task, predictions, targets = classes(60, 1.0)
    kept = Classes.restored({"classes": list(task.spec.target.classes)})
    old = Classification(DataSpec("bundle", kept, {"train": 0}))
    found = judged(old, predictions, targets)
    assert found.trivial == {}
    assert found.intervals == judged(task, predictions, targets).intervals


def test_resamples_that_do_not_define_a_figure_are_counted() -> None:
    """Of two samples one in two draws has both; R2 of the others, all of whose values are equal, is undefined."""
    spec = DataSpec("test", Numbers(("age",), (5.0,), (3.0,)), {"train": 100})
    found = judged(Regression(spec), torch.tensor([[1.0], [4.0]]), torch.tensor([[2.0], [4.5]]))
    lost = int((drawn(2, 1000, seed=0).max(axis=1) == 2).sum())
    assert found.undefined == {"r2": lost}
    assert 400 < lost < 600


def test_a_single_group_gives_no_interval_and_says_so() -> None:
    task, predictions, targets = classes(30, 1.0)
    found = judged(task, predictions, targets, torch.zeros(30, dtype=torch.int64), "groups")
    assert (found.intervals, found.trivial) == ({}, {})
    said = "test: figures have no intervals: of groups there is one, so that all resamples are alike"
    assert remarks({"test": found}) == [said]


def test_the_parts_of_a_report_are_plain_and_by_split() -> None:
    task, predictions, targets = classes(60, 1.0)
    found: dict[str, Any] = by_split({"test": judged(task, predictions, targets, torch.arange(60) // 2, "groups")})
    assert found["intervals"]["test"].keys() == {"accuracy", "f1", "auroc"}
    assert found["resampled"]["test"] == {
        "level": 0.95, "resamples": 1000, "of": "groups", "units": 30, "undefined": {}
    }  # fmt: skip
    assert found["trivial"]["test"]["accuracy"]["verdict"] == "better"
    assert by_split({"val": Judged(why="too few")}) == {"intervals": {}, "resampled": {}, "trivial": {}}
