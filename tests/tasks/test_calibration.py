"""Probabilities that a temperature of val brings nearer to what they promise, and how far off they are."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.targets.classes import Classes
from ftlab.tasks.calibration import BINS, TRIED, Answered
from ftlab.tasks.classification import Classification
from ftlab.tasks.sections import blocks_of
from ftlab.tasks.tempering import tempered

CLASSES = ("a", "b", "c", "d")


def drawn(times: float, samples: int = 4000) -> tuple[Tensor, Tensor]:
    """Outputs that are `times` as sure as the classes that were drawn by them."""
    numbers = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(samples, len(CLASSES), generator=numbers)
    targets = torch.multinomial(outputs.softmax(dim=1), 1, generator=numbers).flatten()
    return times * outputs, targets


def answered(outputs: Tensor, targets: Tensor, temperatures: tuple[float, ...] = TRIED) -> Answered:
    found = Answered(len(CLASSES), temperatures)
    for part in torch.arange(len(outputs)).split(333):
        found.update(outputs[part].softmax(dim=1), targets[part])
    return found


def task_of(**settings: object) -> Classification:
    return Classification(DataSpec("x", Classes(CLASSES, (10,) * 4), {"train": 40}), **settings)  # type: ignore[arg-type]


def test_a_tempered_probability_is_that_of_the_divided_output() -> None:
    outputs, _ = drawn(1, 20)
    torch.testing.assert_close(tempered(outputs.softmax(dim=1), 2.5), (outputs / 2.5).softmax(dim=1))
    torch.testing.assert_close(tempered(torch.tensor([[1.0, 0.0]]), 3.0).sum(), torch.tensor(1.0))


def test_the_error_and_the_counts_are_those_of_torchmetrics() -> None:
    outputs, targets = drawn(3)
    found, chances = answered(outputs, targets).compute(), outputs.softmax(dim=1)
    expected = multiclass_calibration_error(chances, targets, len(CLASSES), n_bins=BINS)
    assert found.error() == pytest.approx(float(expected), abs=1e-6)
    assert torch.equal(found.matrix, multiclass_confusion_matrix(chances, targets, len(CLASSES)))


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0])
def test_the_temperature_is_the_one_of_the_least_loss_and_undoes_what_was_too_sure(times: float) -> None:
    outputs, targets = drawn(times)
    best = answered(outputs, targets).compute().best()
    losses = {t: float(functional.cross_entropy(outputs / t, targets)) for t in (best, best * 0.98, best * 1.02)}
    assert min(losses, key=losses.__getitem__) == best
    assert best == pytest.approx(times, rel=0.06)


def test_after_it_answers_are_right_as_often_as_they_promise_on_other_samples() -> None:
    outputs, targets = drawn(4)
    temperature = answered(outputs[:2000], targets[:2000]).compute().best()
    rest = answered(outputs[2000:], targets[2000:]).compute()
    before, after = rest.error(), rest.error(temperature)
    assert before is not None
    assert after is not None
    assert before > 0.1
    assert after < 0.03


def test_a_task_says_calibrated_probabilities_and_keeps_its_figures_and_classes() -> None:
    outputs, targets = drawn(3, 500)
    task, batch = task_of(calibrate=True), Batch(targets, torch.arange(500))
    before, (loss, _) = task.predictions(outputs), task.loss(outputs, batch)
    task.settle(answered(outputs, targets).compute())
    assert torch.equal(task.predictions(outputs), before)
    assert torch.equal(task.loss(outputs, batch)[0], loss)
    bundled = task_of(**task.settled(), calibrate=True)
    expected = (outputs[0] / bundled.temperature).softmax(dim=0)
    said = bundled.describe(before, top_k=4)[0]
    assert said["probability"] == pytest.approx(float(expected.max()), abs=1e-5)
    assert said["class"] == CLASSES[int(outputs[0].argmax())]
    assert list(bundled.flat(said, before[0])["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_without_the_setting_val_decides_nothing_and_the_report_still_tells_the_error() -> None:
    outputs, targets = drawn(3, 500)
    task = task_of()
    found = answered(outputs, targets, (1.0,)).compute()
    task.settle(found)
    assert task.settled()["temperature"] == 1.0
    told = task.section(found, "test")
    assert told["calibration"]["error"] == found.error()
    assert "before" not in told["calibration"]
    drawn_blocks = blocks_of({**told, "data": {"classes": list(CLASSES)}})
    assert any(getattr(block, "text", "") == "How sure, test" for block in drawn_blocks)
