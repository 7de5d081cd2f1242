"""Which way the figures of a task are better, and between which ends they lie."""

import pytest
import torch

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.evaluation import Evaluation
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.targets.numbers import Numbers
from ftlab.tasks.base import Task
from ftlab.tasks.classification import Classification
from ftlab.tasks.multilabel import Multilabel
from ftlab.tasks.regression import Regression

CLASSES = DataSpec("x", Classes(tuple("abcdef"), (10,) * 6), {"train": 60})
LABELS = DataSpec("x", Labels(tuple("abcdef"), (10,) * 6), {"train": 60})
NUMBERS = DataSpec("x", Numbers(("depth", "width"), (5.0, 7.0), (1.0, 2.0)), {"train": 60})
TASKS: tuple[Task, ...] = (Classification(CLASSES), Multilabel(LABELS), Regression(NUMBERS))


def truth_and_outputs(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets of 60 samples, and outputs that say exactly that."""
    generator = torch.Generator().manual_seed(0)
    if isinstance(task, Regression):
        standard = torch.randn(60, 2, generator=generator).clamp(-2, 2)
        return standard * task.std + task.mean, standard
    if isinstance(task, Multilabel):
        labels = (torch.rand(60, 6, generator=generator) > 0.5).float()
        return labels, labels * 20 - 10
    classes = torch.arange(60) % 6
    return classes, torch.nn.functional.one_hot(classes, 6) * 20.0


def figures(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    found = Evaluation(task, 60, shared=False)
    found.update(outputs, Batch(targets, torch.arange(60)))
    return {name: value for name, value in found.figures()[0].items() if name != "loss" and value is not None}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_right_answer_is_better_than_a_wrong_one_by_every_figure_that_the_task_names(task: Task) -> None:
    targets, outputs = truth_and_outputs(task)
    right, wrong = figures(task, outputs, targets), figures(task, outputs.roll(7, dims=0) * 0.9, targets)
    assert set(task.better) == set(right)
    for name, way in task.better.items():
        better = right[name] > wrong[name] if way == "max" else right[name] < wrong[name]
        assert better, name
    assert task.better[task.objective] == task.mode


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_right_answer_reaches_an_end_of_the_scale(task: Task) -> None:
    right = figures(task, *reversed(truth_and_outputs(task)))
    assert task.objective in task.scales
    for name, scale in task.scales.items():
        assert right[name] == pytest.approx(scale[task.better[name] == "max"], abs=1e-5), name
