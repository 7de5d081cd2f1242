"""The figure that decides which weights are best: any that the task names, in the direction that it gives."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ftlab
from ftlab.errors import UserError
from ftlab.tasks.classification import Classification
from ftlab.tasks.monitor import Monitor, monitor_of, monitor_sign
from tests.tasks.test_better import CLASSES, TASKS
from tests.training.tiny import prepared


class Perplexity(Classification):
    """Names a figure that is no metric's."""

    figure = "perplexity"
    better = {"accuracy": "max", "perplexity": "min"}  # noqa: RUF012

    def figures(self, values: dict[str, Tensor]) -> dict[str, float | None]:
        return {"accuracy": float(values["accuracy"]), self.figure: math.exp(1 - float(values["accuracy"]))}


def test_a_metric_of_each_task_has_the_sign_that_makes_lower_better() -> None:
    for task in TASKS:
        assert {monitor_sign(name, task) for name, way in task.better.items() if way == "max"} == {-1.0}
        assert {monitor_sign(name, task) for name, way in task.better.items() if way == "min"} <= {1.0}
        assert monitor_sign("loss", task) == 1.0


def test_an_unknown_figure_is_refused_with_the_nearest_and_a_direction_that_is_none_too() -> None:
    with pytest.raises(UserError, match=r"monitor=acuracy: no such figure .*did you mean 'accuracy'\? Accepted: .*f1"):
        monitor_sign("acuracy", TASKS[0])
    with pytest.raises(UserError, match=r"accepted: auto, loss, mae, mape, mse, r2, rmse\.$"):
        monitor_sign("accuracy", TASKS[2])
    with pytest.raises(UserError, match="did you mean 'mae/width'"):
        monitor_sign("mae/with", TASKS[2])
    task = Perplexity(CLASSES)
    task.better = {"perplexity": "higher"}  # type: ignore[dict-item]
    with pytest.raises(UserError, match=r"better says 'higher' of perplexity; accepted: max, min"):
        monitor_sign("perplexity", task)


def test_a_figure_that_no_metric_has_decides_where_the_task_names_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = prepared(tmp_path, "monitor=loss", "strategy=full", "trainer.max_epochs=2")
    task = Perplexity(run.parts.spec)
    run.finetuner.task, run.finetuner.evaluation.task[0] = task, task
    run.finetuner.monitor = monitor_of("perplexity", task)
    run.fit()
    expected = [math.exp(1 - record["val"]["accuracy"]) for record in run.finetuner.history]
    assert len(expected) == 2
    assert run.finetuner.losses == pytest.approx(expected)


def test_a_figure_that_is_named_and_never_given_ends_the_run(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=full", "trainer.max_epochs=1")
    task = Perplexity(run.parts.spec)
    task.figure = "perplexty"
    run.finetuner.evaluation.task[0] = task
    run.finetuner.monitor = Monitor("perplexity", 1.0)
    with pytest.raises(UserError, match=r"monitor=perplexity: .*did you mean 'perplexty'\?"):
        run.fit()


def test_the_figure_of_one_target_decides(tmp_path: Path) -> None:
    words = ["task=regression", "data=linnerud", "trainer.max_epochs=3", "strategy=full", "monitor=mae/pulse"]
    report: dict[str, Any] = ftlab.train(ftlab.compose([*words, "trainer.accelerator=cpu", "cache=off"]), tmp_path)
    errors = [record["val"]["mae/pulse"] for record in report["history"]]
    assert len(set(errors)) == 3
    assert report["best"]["value"] == min(errors)


def test_auto_is_the_objective_of_each_task() -> None:
    names = [monitor_of("auto", task) for task in TASKS]
    assert [(one.name, one.sign) for one in names] == [("accuracy", -1.0), ("f1", -1.0), ("r2", -1.0)]
    assert all(one.auto and one.typed == "auto" for one in names)
    assert monitor_of("accuracy", TASKS[0]) == Monitor("accuracy", -1.0, auto=False)


def test_the_later_of_epochs_that_differ_by_chance_is_in_the_bundle_and_the_run_says_so(tmp_path: Path) -> None:
    words = ["strategy=full", "trainer.max_epochs=6", "data.image_size=32", "subset=60", "trainer.accelerator=cpu"]
    report: dict[str, Any] = ftlab.train(ftlab.compose(words), tmp_path)
    values = [record["val"]["accuracy"] for record in report["history"]]
    best, epoch = 0, 0
    for place, record in enumerate(report["history"][1:], start=1):
        best = place if values[place] > values[best] else best
        behind = values[best] - values[place]
        assert 0 < record["noise"] < 0.05
        epoch = place if behind <= record["noise"] else epoch
    assert report["best"]["epoch"] == epoch
    over = report["best"]["over"]
    assert (over is None) == (values[epoch] == max(values))
    assert report["metrics"]["val"]["accuracy"] == pytest.approx(values[epoch], abs=1e-6)


def test_a_checkpoint_keeps_the_scores_of_the_best_epoch_so_that_a_resumed_run_chooses_alike(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=full", "trainer.max_epochs=3", "monitor=auto")
    run.fit()
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["ftlab"]["best_scores"]
    assert kept.mean().item() == pytest.approx(max(r["val"]["accuracy"] for r in run.finetuner.history), abs=1e-6)
