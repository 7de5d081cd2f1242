"""ftlab compare: what it trains, and runs that are there side by side."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest

from ftlab.comparing import _pair, as_multirun, different
from ftlab.errors import UserError
from tests.conftest import Command

COMPARE: dict[str, Any] = {"strategies": ["closed_form", "full"], "seeds": 2, "sizes": ["all"]}


def test_the_jobs_share_one_split_and_one_budget() -> None:
    words = as_multirun(["data=digits", "seed=3", "trainer.max_epochs=5", "compare.seeds=2"], COMPARE, 3, None)
    assert words == [
        "data=digits",
        "trainer.auto_epochs.least=5",  # closed_form takes its one epoch, and would refuse another number
        "trainer.auto_epochs.most=5",
        "strategy=closed_form,full",
        "seed=3,4",
        "data.split_seed=3",
    ]
    sized = as_multirun(["data.split_seed=1"], {**COMPARE, "sizes": [50, "20/class", "all"]}, 0, None)
    assert "subset=50,20/class,null" in sized
    assert sized.count("data.split_seed=1") == 1


@pytest.mark.parametrize(
    ("typed", "compare", "said"),
    [
        ([], {**COMPARE, "strategies": ["ful", "lp_ft"]}, "did you mean 'full'"),
        (["strategy=full"], COMPARE, "compare.strategies=[...] says what is compared"),
        (["subset=5"], {**COMPARE, "sizes": [5, "all"]}, "leave one of them out"),
    ],
)
def test_what_a_comparison_sets_itself_is_not_accepted(typed: list[str], compare: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        as_multirun(typed, compare, 0, 5 if "subset=5" in typed else None)
    assert said in str(caught.value)


def test_samples_are_paired_as_mcnemar_did() -> None:
    right = {"a": torch.tensor([1, 1, 1, 1, 0, 0]) == 1, "b": torch.tensor([1, 0, 0, 0, 1, 0]) == 1}
    pair = _pair(right, "a", "b", list("uvwxyz"))
    assert (pair["both"], pair["neither"]) == (1, 1)
    assert (pair["only_first"], pair["only_second"]) == (["v", "w", "x"], ["y"])
    assert pair["p"] == pytest.approx(binomtest(3, 4).pvalue)


def test_keys_that_differ_are_told_with_the_value_of_each_run() -> None:
    same = {"optimizer": {"lr": 0.1}, "seed": 0, "resume": "a"}
    found = different({"x": same, "y": {**same, "optimizer": {"lr": 0.2}, "resume": "b"}, "z": {**same, "new": 1}})
    assert found == {"new": {"x": "-", "y": "-", "z": "1"}, "optimizer.lr": {"x": "0.1", "y": "0.2", "z": "0.1"}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs=[a]",), "at least two folders"),
        (("runs=[a,b]",), "No report.json in 'a'"),
        (("runs=[a,b]", "seed=1"), "seed=1: is not read with runs=[...]"),
        (("output=page",), "output=page: is read with runs=[...]"),
        (("compare.sizes=[a_few]",), "expected a list like [50,20/class,all]"),
        (("-m",), "a multirun is for train"),
    ],
)
def test_wrong_words_end_with_2_and_leave_nothing(words: tuple[str, ...], said: str, command: Command) -> None:
    ended = command("compare", *words)
    assert ended.code == 2, ended
    assert said in ended.err
    assert list(Path.cwd().iterdir()) == []


def test_ways_are_trained_and_held_against_each_other_then_two_of_the_runs_sample_by_sample(command: Command) -> None:
    quick = ("data=digits", "subset=40", "data.image_size=32", "data.split=[0.9,0.05,0.05]", "trainer.max_epochs=2")
    ways = ("compare.strategies=[closed_form,head_only]", "compare.seeds=2", "hydra.sweep.dir=all", "cache=off")
    ended = command("compare", *quick, *ways)
    assert ended.code == 0, ended.err
    reports = {n: json.loads(Path("all", str(n), "report.json").read_text()) for n in range(4)}
    assert [(r["strategy"], r["config"]["seed"]) for r in reports.values()] == [
        ("closed_form", 0), ("closed_form", 1), ("head_only", 0), ("head_only", 1)]  # fmt: skip
    assert {r["config"]["data"]["split_seed"] for r in reports.values()} == {0}
    page = Path("all", "sweep.html").read_text()
    assert "The best against each other setting" in page
    beside = command("compare", "runs=[all/0,all/2]", "output=two")
    assert beside.code == 0, beside.err
    found = json.loads(Path("two", "compare.json").read_text())
    (pair,) = found["pairs"]
    accuracies = [run["metrics"]["test"]["accuracy"] for run in found["runs"].values()]
    tested = reports[0]["data"]["sizes"]["test"]
    for accuracy, alone in zip(accuracies, ("only_first", "only_second"), strict=True):
        assert (pair["both"] + len(pair[alone])) / tested == pytest.approx(accuracy)
    assert found["config"]["strategy._target_"] == {
        "all/0": "ftlab.strategies.closed_form.ClosedForm", "all/2": "ftlab.strategies.head_only.HeadOnly"}  # fmt: skip
    text = Path("two", "compare.html").read_text()
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert all(name in text for name in (*pair["only_first"][:3], "val loss", "strategy._target_"))
    assert "test accuracy" in beside.out
