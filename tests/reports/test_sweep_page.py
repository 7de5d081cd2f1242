"""The page of a sweep, its paired test, and the file that repeats its best run."""

import re
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel

from ftlab.composition import compose
from ftlab.reports.best import write_best
from ftlab.reports.pairs import pairs, said
from ftlab.reports.sweep_page import by_size, render

FIGURES = {"full": [0.8, 0.83, 0.9, 0.86], "head_only": [0.7, 0.75, 0.78, 0.77], "partial": [0.81, 0.8, 0.9, 0.85]}
GRID: dict[str, Any] = {}


def row(job: int, objective: float | None, **overrides: str) -> dict[str, Any]:
    found: dict[str, Any] = {"job": str(job), "folder": Path(str(job)), "overrides": overrides, "objective": objective}
    found |= {"error": None, "pruned": None, "name": "accuracy", "mode": "max", "split": "val", "test": 0.5}
    return found | {
        "samples": 100,
        "seconds": 2.0,
        "peak_memory_bytes": 10**6,
        "trainable_parameters": 10,
        "warnings": [],
    }


def rows() -> list[dict[str, Any]]:
    made = [(name, str(seed), value) for name, values in FIGURES.items() for seed, value in enumerate(values)]
    return [row(job, value, strategy=name, seed=seed) for job, (name, seed, value) in enumerate(made)]


def test_the_best_setting_is_held_against_the_others_seed_by_seed_as_scipy_does() -> None:
    found = {pair.overrides["strategy"]: pair for pair in pairs(rows())}
    assert found.keys() == {"head_only", "partial"}  # full is the best
    for name, pair in found.items():
        test = ttest_rel(FIGURES["full"], FIGURES[name])
        assert pair.p == pytest.approx(test.pvalue)
        assert pair.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
        assert pair.difference == pytest.approx(sum(FIGURES["full"]) / 4 - sum(FIGURES[name]) / 4)
    low, high = sorted(found.values(), key=lambda pair: pair.p or 0)
    assert low.holm == pytest.approx(2 * (low.p or 0))  # Holm: the smaller of two p twice, the larger as it is
    assert high.holm == pytest.approx(max(2 * (low.p or 0), high.p or 0))
    assert (said(found["head_only"]), said(found["partial"])) == ("beyond the spread", "within the spread")


def test_only_seeds_that_both_have_are_paired_and_one_says_nothing() -> None:
    lacking = [one for one in rows() if one["overrides"] != {"strategy": "partial", "seed": "2"}]
    assert {pair.overrides["strategy"]: pair.seeds for pair in pairs(lacking)} == {"head_only": 4, "partial": 3}
    few = [
        row(0, 0.5, a="1", seed="0"),
        row(1, 0.6, a="1", seed="1"),
        row(2, 0.4, a="2", seed="0"),
        row(3, None, a="2"),
    ]
    (pair,) = pairs(few)
    assert (pair.seeds, pair.p, said(pair)) == (1, None, "one seed: nothing can be said")
    assert pairs([row(0, 0.5, a="1"), row(1, 0.6, a="2")]) == []


def test_the_best_run_is_repeated_by_a_file_that_holds_all_that_was_typed(tmp_path: Path) -> None:
    typed = {"strategy": "full", "optimizer.lr": "0.003", "data.split": "[0.8,0.1,0.1]", "task.class_weights": "{1: 2}"}
    found = [row(0, 0.5, **typed, seed="0"), row(1, 0.6, **{**typed, "optimizer.lr": "0.1"}, seed="0")]
    told = write_best(found, tmp_path)
    assert told == f"ftlab train --config-dir {tmp_path} experiment=best"
    again = compose(["experiment=best"], config_dir=tmp_path)
    assert again == compose([f"{key}={value}" for key, value in found[1]["overrides"].items()])
    assert again.optimizer.lr == 0.1
    assert write_best([row(0, None, seed="0")], tmp_path) is None


def test_the_page_names_every_job_and_links_those_that_have_a_report() -> None:
    lost = row(12, None, strategy="scratch", seed="0") | {"error": "<b>broken"}
    ended = row(13, None, strategy="scratch", seed="1") | {"pruned": "after epoch 1 it is behind"}
    text = render([*rows(), lost, ended], "first & last", GRID, "ftlab train experiment=best")
    assert re.findall(r'<a href="(\d+)/report.html">', text) == [
        "2",
        "10",
        "3",
        "11",
        "1",
        "8",
        "0",
        "9",
        "6",
        "7",
        "5",
        "4",
    ]
    assert "failed: &lt;b&gt;broken" in text
    assert "pruned: after epoch 1 it is behind" in text
    assert "first &amp; last" in text
    assert "scipy.stats.ttest_rel" in text
    assert "ftlab train experiment=best" in text
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)  # complete in itself
    assert text == render([*rows(), lost, ended], "first & last", GRID, "ftlab train experiment=best")


def test_a_search_is_drawn_with_its_history_importance_and_parallel_lines() -> None:
    found = [row(n, 0.1 * n, **{"optimizer.lr": f"{10**-n:g}", "augment": "ab"[n % 2]}) for n in range(1, 6)]
    search = {"directions": {"objective": "maximize"}, "importance": {"optimizer.lr": 0.8, "augment": 0.2},
              "front": [5], "evaluator": "PED-ANOVA", "trials": []}  # fmt: skip
    text = render(found, "a", search, None)
    for label in ("and the best so far", "Importance of each key", "Values of each job", "over each key"):
        assert text.count(f"{label}") >= 2, label  # for the page and for a telephone
    assert "mathdefault" not in text


def test_objectives_lie_over_the_number_of_samples_where_that_varies() -> None:
    found = [
        row(job, 0.5 + 0.01 * job, strategy=name, subset=size, seed=seed) | {"samples": int(size)}
        for job, (name, size, seed) in enumerate(
            (n, z, s) for n in ("full", "partial") for z in ("50", "200") for s in "01"
        )
    ]
    lines = by_size(found)
    assert {name: {size: len(values) for size, values in one.items()} for name, one in lines.items()} == {
        "strategy=full": {50: 2, 200: 2}, "strategy=partial": {50: 2, 200: 2}}  # fmt: skip
    assert "Over the number of training samples" in render(found, "a", GRID, None)
    assert by_size(rows()) == {}
