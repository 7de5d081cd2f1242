"""Losses against torch's own, figures against scikit-learn's over the whole split, everything in the user's units.

Shapes: n samples, b batch, t targets, m numbers a target.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.config import options
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.transforms import mix
from ftlab.targets.classes import Classes
from ftlab.targets.numbers import Numbers
from ftlab.tasks.classification import Classification
from ftlab.tasks.multilabel import Multilabel
from ftlab.tasks.regression import LOSSES, Regression, log_cosh, pinball
from ftlab.tasks.residuals import BINS, POINTS, residuals

MEANS, STDS = (500.0, -0.02), (40.0, 0.005)  # one far from zero, one in small units


def spec(means: tuple[float, ...] = MEANS, stds: tuple[float, ...] = STDS) -> DataSpec:
    names = ("weight", "length", "age")[: len(means)]
    return DataSpec("test", Numbers(names, means, stds), {"train": 100})


def samples(n: int = 80, outputs: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Raw outputs (n, outputs), and targets (n, 2) in their units, both random."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randn(n, 2, generator=generator) * torch.tensor(STDS) + torch.tensor(MEANS)
    return torch.randn(n, outputs, generator=generator), targets


def batch_of(targets: Tensor, first: int = 0) -> Batch:
    return Batch(targets=targets, index=torch.arange(first, first + len(targets)))


def standardised(targets: Tensor) -> Tensor:
    return (targets - torch.tensor(MEANS)) / torch.tensor(STDS)


# Losses

TORCHS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": lambda x, y: functional.huber_loss(x, y, delta=0.7),
    "smooth_l1": lambda x, y: functional.smooth_l1_loss(x, y, beta=0.7),
    "log_cosh": lambda x, y: torch.log(torch.cosh((x - y).double())).mean().float(),
}


@pytest.mark.parametrize("loss", TORCHS)
def test_the_loss_divided_by_its_weight_is_torchs_mean_of_standardised_targets(loss: str) -> None:
    outputs, targets = samples()
    total, weight = Regression(spec(), loss=loss, delta=0.7).loss(outputs, batch_of(targets))
    torch.testing.assert_close(total / weight, TORCHS[loss](outputs, standardised(targets)), atol=1e-5, rtol=1e-5)
    assert float(weight) == len(targets)


def test_a_gaussian_loss_is_the_negative_log_likelihood_but_for_its_constant() -> None:
    outputs, targets = samples(outputs=4)
    total, weight = Regression(spec(), loss="gaussian_nll").loss(outputs, batch_of(targets))
    mean, deviation = outputs[:, [0, 2]], (outputs[:, [1, 3]] / 2).exp()
    likelihood = stats.norm.logpdf(standardised(targets).numpy(), mean.numpy(), deviation.numpy())
    assert float(total / weight) == pytest.approx(-likelihood.mean() - math.log(2 * math.pi) / 2, abs=1e-4)


def test_a_quantile_loss_is_scikit_learns_pinball_loss() -> None:
    levels = [0.05, 0.5, 0.8]
    outputs, targets = samples(outputs=6)
    total, weight = Regression(spec(), loss="quantile", quantiles=levels).loss(outputs, batch_of(targets))
    truth = standardised(targets).numpy()
    expected = [
        sk.mean_pinball_loss(truth[:, t], outputs[:, 3 * t + q].numpy(), alpha=level)
        for t in range(2)
        for q, level in enumerate(levels)
    ]
    assert float(total / weight) == pytest.approx(np.mean(expected), abs=1e-5)


def test_the_best_constant_under_a_quantile_loss_is_the_quantile() -> None:
    truth = torch.linspace(0, 100, 101)[:, None]
    grid = torch.arange(0, 101, dtype=torch.float32)
    losses = [float(pinball(v.expand(101, 1, 1), truth, torch.tensor([0.9])).mean()) for v in grid]
    assert losses.index(min(losses)) == 90


def test_log_cosh_of_large_errors_is_a_line_without_overflow() -> None:
    error = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    log_cosh(error).sum().backward()
    torch.testing.assert_close(log_cosh(error), torch.tensor([1e4, 0.0, 1e4]) - torch.tensor([1.0, 0, 1]) * math.log(2))
    assert error.grad is not None
    assert error.grad.tolist() == pytest.approx([-1, 0, 1], abs=1e-6)


def test_a_certain_gaussian_and_half_precision_keep_a_finite_loss() -> None:
    targets = torch.tensor([MEANS])
    outputs = torch.tensor([[0.0, -200.0, 0.0, -200.0]])
    total, _ = Regression(spec(), loss="gaussian_nll").loss(outputs, batch_of(targets))
    assert total.isfinite()
    total, _ = Regression(spec()).loss(torch.tensor([[300.0, 0.0]], dtype=torch.float16), batch_of(targets))
    assert float(total) == pytest.approx(300.0**2 / 2)  # its square is beyond half precision


def test_numbers_are_mixed_as_they_are_whatever_the_number_of_outputs() -> None:
    _, targets = samples(4)
    batch = Batch(targets=targets, index=torch.arange(4), inputs={"images": torch.rand(4, 3, 6, 6)})
    task = Regression(spec(), loss="gaussian_nll")
    torch.manual_seed(0)
    mixed = mix(batch, Augment(mixup=1.0), num_classes=spec().target.one_hot)
    share = ((mixed.targets - targets.roll(1, 0)) / (targets - targets.roll(1, 0))).flatten()
    assert 0.05 < float(share[0]) < 0.95
    torch.testing.assert_close(share, share[:1].expand(8), atol=1e-2, rtol=1e-2)
    assert task.loss(torch.zeros(4, 4), mixed)[0].isfinite()


# Predictions


def test_outputs_of_zero_are_the_mean_of_the_training_targets() -> None:
    task = Regression(spec())
    torch.testing.assert_close(task.predictions(torch.zeros(1, 2))[0, :, 0], torch.tensor(MEANS))
    (record,) = task.describe(task.predictions(torch.zeros(1, 2)))
    assert record == {"weight": 500.0, "length": pytest.approx(-0.02)}


def test_a_gaussian_prediction_has_its_deviation_in_the_units_of_the_target() -> None:
    task = Regression(spec(), loss="gaussian_nll")
    outputs = torch.tensor([[1.0, 2 * math.log(3.0), -1.0, 2 * math.log(0.5)]])
    (record,) = task.describe(task.predictions(outputs))
    assert record["weight"] == pytest.approx(500 + 40)
    assert record["length"] == pytest.approx(-0.02 - 0.005)
    assert record["std"] == {"weight": pytest.approx(3 * 40, rel=1e-5), "length": pytest.approx(0.5 * 0.005, rel=1e-5)}


def test_quantiles_never_cross_and_the_median_is_the_prediction() -> None:
    task = Regression(spec((10.0,), (2.0,)), loss="quantile", quantiles=[0.1, 0.5, 0.9])
    (record,) = task.describe(task.predictions(torch.tensor([[1.0, -1.0, 0.0]])))
    assert record == {"weight": 10.0, "quantiles": {"weight": {"0.1": 8.0, "0.5": 10.0, "0.9": 12.0}}}


# Figures


def expected_figures(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    each: dict[str, Any] = {"multioutput": "raw_values"}
    mse = sk.mean_squared_error(truth, predicted, **each)
    return {
        "r2": sk.r2_score(truth, predicted, **each),
        "rmse": np.sqrt(mse),
        "mae": sk.mean_absolute_error(truth, predicted, **each),
        "mse": mse,
        "mape": sk.mean_absolute_percentage_error(truth, predicted, **each),
    }


@pytest.mark.parametrize("loss", LOSSES)
def test_figures_of_a_split_in_batches_are_scikit_learns_in_the_users_units(loss: str) -> None:
    task = Regression(spec(), loss=loss)
    outputs, targets = samples(outputs=task.num_outputs)
    outputs[:, task.main :: task.num_outputs // 2] = standardised(targets) + 0.3 * torch.randn(80, 2)
    found = Evaluation(task, 80, shared=False)
    for part in (slice(0, 50), slice(50, 51), slice(51, 80)):
        found.update(outputs[part], batch_of(targets[part], part.start))
    figures, warned = found.figures()
    predicted = task.predictions(outputs)[..., task.main].double().numpy()
    expected = expected_figures(predicted, targets.double().numpy())
    for name, values in expected.items():
        assert figures[name] == pytest.approx(values.mean(), rel=1e-3), name
        assert figures[f"{name}/weight"] == pytest.approx(values[0], rel=1e-3), name
        assert figures[f"{name}/length"] == pytest.approx(values[1], rel=1e-3), name
    assert list(figures)[:2] == ["loss", "r2"]  # the objective is what a line an epoch shows
    assert warned == []


def figures_of(truth: list[float], error: float = 1.0, mean: float = 0.0, std: float = 10.0) -> Any:
    task = Regression(spec((mean,), (std,)))
    targets = torch.tensor(truth)[:, None]
    found = Evaluation(task, len(truth), shared=False)
    found.update((targets + error - mean) / std, batch_of(targets))
    return found.figures()


def test_one_target_has_no_figures_by_name() -> None:
    assert set(figures_of([1.0, 5.0])[0]) == {"loss", "r2", "rmse", "mae", "mse", "mape"}


def test_r2_of_targets_in_tiny_units_and_far_from_zero_is_right() -> None:
    truth = np.linspace(2000.0, 2001.0, 200)
    figures, _ = figures_of(truth.tolist(), error=0.25, mean=2000.5, std=0.289)
    assert figures["r2"] == pytest.approx(sk.r2_score(truth, truth + 0.25), abs=1e-3)
    tiny = np.linspace(0.0010, 0.0020, 200)
    figures, _ = figures_of(tiny.tolist(), error=0.0005, mean=0.0015, std=0.000289)
    assert figures["r2"] == pytest.approx(sk.r2_score(tiny, tiny + 0.0005), abs=1e-3)
    assert figures["r2"] < -1  # torchmetrics takes these sums of squares for zero and says 1.0


def test_mape_of_targets_at_or_near_zero_is_undefined_and_counted() -> None:
    figures, warned = figures_of([0.0, 0.05, -0.09, 5.0, 20.0], std=10.0)
    assert figures["mape"] is None
    assert warned == ["mape of 'weight' is undefined: 3 of 5 values are at or near zero (below 0.1)"]
    assert figures["mae"] == pytest.approx(1.0)


def test_r2_without_variation_is_undefined_and_not_one() -> None:
    for truth in ([3.0], [3.0, 3.0, 3.0]):
        figures, warned = figures_of(truth, error=0.0)
        assert figures["r2"] is None
        assert warned == [f"r2 of 'weight' is undefined: all of its {len(truth)} values are equal"]


def test_a_mean_over_targets_of_which_one_is_undefined_is_undefined() -> None:
    task = Regression(spec((0.0, 100.0), (10.0, 10.0)))
    targets = torch.tensor([[0.0, 100.0], [10.0, 120.0]])
    found = Evaluation(task, 2, shared=False)
    found.update(torch.zeros(2, 2), batch_of(targets))
    figures, _ = found.figures()
    assert figures["mape"] is figures["mape/weight"] is None
    assert figures["mape/length"] == pytest.approx((0 / 100 + 20 / 120) / 2)


# What the report draws


def test_the_worst_samples_are_those_with_the_most_deviations_of_error() -> None:
    targets = torch.tensor([MEANS] * 3) + torch.tensor([[0.0, 0.010], [80.0, 0.0], [0.0, -0.020]])
    found = Evaluation(Regression(spec()), 3, keep=2, shared=False)
    for i in range(3):
        found.update(torch.zeros(1, 2), batch_of(targets[i : i + 1], i))
    assert [w["index"] for w in found.worst] == [2, 0]  # 4 deviations, then 2 before the other 2
    assert found.worst[0]["severity"] == pytest.approx(4, rel=1e-4)
    assert (found.worst[0]["truth"], found.worst[0]["prediction"]) == ("length -0.04", "length -0.02")
    assert found.worst[0]["note"] == "(+0.02)"


def test_a_person_reads_large_numbers_without_an_exponent() -> None:
    prices = Regression(DataSpec("houses", Numbers(("price",), (4e5,), (1e5,)), {"train": 2}))
    (worst,) = prices.worst(torch.tensor([[[461_557.0]]]), torch.tensor([[561_958.0]]))
    assert [worst[key] for key in ("prediction", "truth", "note")] == ["461557", "561958", "(-100401)"]
    (worst,) = prices.worst(torch.tensor([[[1.5e8]]]), torch.tensor([[0.25]]))
    assert [worst[key] for key in ("prediction", "truth", "note")] == ["1.5e+08", "0.25", "(+1.5e+08)"]


def test_the_section_of_the_report_tells_the_pairs_of_all_batches_for_each_target() -> None:
    task = Regression(spec())
    outputs, targets = samples(80)
    found = Evaluation(task, 80, keep=3, shared=False)
    for part in (slice(0, 50), slice(50, 80)):
        found.update(outputs[part], batch_of(targets[part], part.start))
    assert found.diagnosis is not None
    section = task.section(found.diagnosis.compute(), "val")["residuals"]
    assert section["split"] == "val"
    assert [target["target"] for target in section["targets"]] == ["weight", "length"]
    predicted = task.predictions(outputs)[..., 0]
    for t, target in enumerate(section["targets"]):
        pairs = torch.stack([targets[:, t], predicted[:, t]], dim=1)
        torch.testing.assert_close(torch.tensor(target["points"]), pairs, rtol=1e-4, atol=1e-6)


def test_residuals_count_every_sample_once() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2000, generator=generator) * 100
    error = torch.randn(2000, generator=generator) * (1 + truth / 10)
    found = residuals(torch.stack([truth + error, truth], dim=1))
    assert len(found["points"]) == POINTS
    counts, edges = np.histogram(error.numpy(), BINS, (-float(error.abs().max()), float(error.abs().max())))
    assert np.abs(np.array(found["histogram"]["counts"]) - counts).max() <= 1  # of two ways to round at an edge
    assert sum(found["histogram"]["counts"]) == 2000
    assert found["histogram"]["edges"] == pytest.approx(edges, rel=1e-4, abs=1e-4)
    assert [part["samples"] for part in found["ranges"]] == [250] * 8
    for part in found["ranges"]:
        inside = (truth >= part["low"] - 1e-3) & (truth <= part["high"] + 1e-3)
        assert part["mae"] == pytest.approx(float(error[inside].abs().mean()), rel=1e-3)
        assert part["bias"] == pytest.approx(float(error[inside].mean()), rel=1e-2, abs=1e-2)
    assert found["ranges"][-1]["mae"] > 3 * found["ranges"][0]["mae"]


@pytest.mark.parametrize("truth", [[], [2.0], [5.0] * 30, [0.0] * 20 + [1.0] * 20, [math.nan, 3.0]])
def test_residuals_of_few_or_equal_values_are_told_too(truth: list[float]) -> None:
    finite = [value for value in truth if not math.isnan(value)]
    found = residuals(torch.tensor([[value + 1, value] for value in truth]).reshape(-1, 2))
    assert len(found["points"]) == sum(found["histogram"]["counts"]) == len(finite)
    assert sum(part["samples"] for part in found["ranges"]) == len(finite)
    assert len(found["ranges"]) == len(set(finite))


# What is refused


def test_data_and_task_must_be_of_one_kind() -> None:
    classes = DataSpec("digits", Classes(("a", "b"), (5, 4)), {"train": 9})
    with pytest.raises(UserError, match=r"needs numbers as targets.*data=digits has classes.*target_columns"):
        Regression(classes)
    for task in (Classification, Multilabel):
        said = f"needs {task.takes.plural} as targets, and data=test has numbers; choose task=regression"
        with pytest.raises(UserError, match=said):
            task(spec())


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(UserError, match=r"task.loss=hubber.*did you mean 'huber'"):
        Regression(spec(), loss="hubber")
    for quantiles in ([0.1, 0.9], [0.9, 0.5], [0.5, 0.5]):
        with pytest.raises(UserError, match=r"task.quantiles=.*rising.*0.5"):
            Regression(spec(), loss="quantile", quantiles=quantiles)
    with pytest.raises(UserError, match="a target cannot be called 'file'"):
        Regression(DataSpec("x", Numbers(("file",), (0.0,), (1.0,)), {}))


def test_the_settings_of_the_option_are_the_defaults() -> None:
    node = {key: value for key, value in options("task")["regression"].items() if key != "_target_"}
    given, default = Regression(spec(), **node), Regression(spec())
    assert (given.kind, given.delta, given.num_outputs) == (default.kind, default.delta, 2) == ("mse", 1.0, 2)
    given = Regression(spec(), **{**node, "loss": "quantile"})
    assert given.levels == Regression(spec(), loss="quantile").levels == (0.1, 0.5, 0.9)
