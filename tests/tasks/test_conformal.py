"""Intervals hold a number as often as they say, on samples that they have not seen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

import ftlab
from ftlab.composition import compose
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.targets.numbers import Numbers
from ftlab.tasks.conformal import least, radius, rank
from ftlab.tasks.regression import Regression
from ftlab.tasks.sections import blocks_of


def task_of(val: int, interval: float, **settings: object) -> Regression:
    spec = DataSpec("x", Numbers(("a",), (150.0,), (77.0,)), {"train": 200, "val": val})
    return Regression(spec, interval=interval, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [0.8, 0.9])
def test_over_twenty_splits_as_many_samples_lie_inside_as_are_to(wanted: float) -> None:
    inputs, truths = load_diabetes(return_X_y=True)
    inside = []
    for seed in range(20):
        train, rest, known, held = train_test_split(inputs, truths, test_size=0.6, random_state=seed)
        model, half = Ridge(alpha=0.1).fit(train, known), len(held) // 2
        pairs = torch.tensor(np.stack([model.predict(rest), held], axis=1))[:, None]
        task = task_of(half, wanted)
        task.settle(pairs[:half])
        for one, (_, true) in zip(task.describe(pairs[half:, :, :1]), pairs[half:, 0].tolist(), strict=True):
            inside.append(one["interval"]["a"]["low"] <= true <= one["interval"]["a"]["high"])
    assert np.mean(inside) == pytest.approx(wanted, abs=0.03)


def test_the_radius_is_an_error_that_was_seen() -> None:
    errors = torch.tensor([[3.0], [-1.0], [2.0], [-5.0], [4.0], [0.5], [6.0], [-7.0], [8.0]])
    assert rank(9, 0.9) == 9  # of ten samples nine are inside
    assert radius(errors, 0.9) == [8.0]
    assert radius(errors, 0.5) == [4.0]  # the fifth
    assert radius(errors, 0.95) == [float("inf")]
    assert (least(0.9), least(0.95), least(0.5)) == (9, 19, 1)


def test_too_few_samples_are_refused_before_anything_trains() -> None:
    task_of(9, 0.9).check_val(9)
    with pytest.raises(UserError, match=r"task.interval=0.9: needs 9 val samples, and there are 8"):
        task_of(8, 0.9).check_val(8)


def test_a_run_leaves_intervals_that_its_bundle_says(tmp_path: Path) -> None:
    words = ["task=regression", "data=diabetes", "strategy=closed_form", "task.interval=0.9", "cache=off"]
    report = ftlab.train(compose([*words, "trainer.accelerator=cpu"]), tmp_path / "run")
    told = json.loads((tmp_path / "run" / "report.json").read_text())["residuals"]["intervals"]
    (one,) = told["targets"]
    assert (told["coverage"], one["target"]) == (0.9, "progression")
    assert 0.75 < one["inside"] <= 1
    drawn = " ".join(block.text for block in blocks_of(report) if hasattr(block, "text"))
    assert f"progression ± {one['radius']:.4g}" in drawn
    predictor = ftlab.load(tmp_path / "run" / "bundle")
    row = {field["name"]: field["usual"] for field in predictor.preprocessing.form()["fields"]}
    (said,) = predictor.predict(row)
    value, around = said["progression"], said["interval"]["progression"]
    assert around["high"] - value == pytest.approx(one["radius"], rel=1e-5)
    assert value - around["low"] == pytest.approx(one["radius"], rel=1e-5)


def test_a_second_fit_on_val_too_says_the_intervals_that_val_told_of_the_first(tmp_path: Path) -> None:
    words = ["task=regression", "data=diabetes", "strategy=closed_form", "task.interval=0.9", "cache=off"]
    once = ftlab.train(compose([*words, "trainer.accelerator=cpu"]), tmp_path / "once")
    both = ftlab.train(compose([*words, "trainer.accelerator=cpu", "refit=true"]), tmp_path / "both")
    radii = [report["residuals"]["intervals"]["targets"][0]["radius"] for report in (once, both)]
    assert radii[0] == pytest.approx(radii[1], rel=1e-5)
    record = ftlab.load(tmp_path / "both" / "bundle", accelerator="cpu").task.radius
    assert record == pytest.approx([radii[0]], rel=1e-5)
