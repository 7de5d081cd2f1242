"""The course of a choice, with jobs whose objective the test knows and whose seconds it sets."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftlab.choosing.course import Course, joined
from ftlab.choosing.journal import FILE
from ftlab.choosing.rules import Seen
from ftlab.errors import UserError
from tests.choosing.test_rules import TABLE

START = {"optimizer.lr": 0.001, "trainer.max_epochs": 12, "backbone.width": 64}
Formula = Callable[[Mapping[str, str]], float | None]


class Known:
    """Jobs of 10 seconds for 12 epochs; each leaves a report with what `formula` says of its words."""

    def __init__(self, folder: Path, formula: Formula, mode: str = "max", stops_at: int | None = None) -> None:
        self.folder, self.formula, self.mode, self.stops_at = folder, formula, mode, stops_at
        self.now, self.ran = 0.0, list[Sequence[str]]()

    def launch(self, job: int, words: Sequence[str]) -> None:
        if job == self.stops_at:
            raise KeyboardInterrupt
        values = dict(word.split("=") for word in words)
        self.ran.append(words)
        self.now += 10 * int(values.get("trainer.max_epochs", 12)) / 12
        report: dict[str, Any] = {
            "schema_version": 1, "phases": [], "seconds": {"train": 1.0}, "metrics": {},
            "objective": {"name": "r2", "value": self.formula(values), "mode": self.mode, "split": "val"},
        }  # fmt: skip
        (self.folder / str(job)).mkdir(parents=True, exist_ok=True)
        (self.folder / str(job) / "report.json").write_text(json.dumps(report))

    def settings(self, words: Sequence[str]) -> Mapping[str, Any]:
        typed = {key: json.loads(value) for key, value in (w.split("=") for w in words if "." in w)}
        return {**START, **typed}

    def look(self) -> tuple[Seen, dict[str, Any]]:
        return replace(TABLE, convex=False, learners=False, train=2000), {"probes": []}


def course(jobs: Known, budget: float, typed: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    Course(jobs.folder, budget, typed, jobs, lambda: jobs.now).go()
    steps: list[dict[str, Any]] = json.loads((jobs.folder / FILE).read_text())["steps"]
    return steps


def by_rate(values: Mapping[str, str]) -> float:
    """The best rate is 0.009, two steps above the default."""
    return -abs(float(values.get("optimizer.lr", 0.001)) - 0.009) + 0.0001 * int(values.get("trainer.max_epochs", 12))


def test_short_runs_decide_what_runs_whole_and_rounds_go_on_from_the_best(tmp_path: Path) -> None:
    jobs = Known(tmp_path, by_rate)
    steps = course(jobs, 10_000)
    assert steps[0]["words"] == []
    first = [step for step in steps if step["round"] == 1]
    assert first[0]["name"] == "as it stands"
    assert first[0]["words"] == ["trainer.max_epochs=4"]
    whole = [step["words"] for step in first if step["stage"] == "whole"]
    assert ["optimizer.lr=0.003"] in whole
    second = [step["words"] for step in steps if step["round"] == 2]
    assert ["optimizer.lr=0.009", "trainer.max_epochs=24"] in second or ["optimizer.lr=0.009"] in second
    assert len({tuple(words) for words in jobs.ran}) == len(jobs.ran)  # nothing is run twice


def test_the_default_runs_whatever_it_takes_and_nothing_else_beyond_the_time(tmp_path: Path) -> None:
    steps = course(Known(tmp_path, by_rate), 5)
    assert [step["job"] for step in steps if step["job"] is not None] == [0]
    assert len(steps) > 3
    assert all("it would take about" in step["skipped"] for step in steps[1:])


def test_where_no_whole_run_finds_room_short_ones_still_do(tmp_path: Path) -> None:
    """10 s for the default and 10 / 3 for each short run: 17 s have room for two of them."""
    jobs = Known(tmp_path, by_rate)
    steps = course(jobs, 17)
    assert [step["stage"] for step in steps if step["job"] is not None] == ["whole", "short", "short"]
    assert jobs.now <= 17


def test_a_short_run_is_the_best_only_where_its_epochs_are_no_key_that_was_typed(tmp_path: Path) -> None:
    def shorter(values: Mapping[str, str]) -> float:
        return -float(values.get("trainer.max_epochs", 12))

    for name, typed, counts in (("free", frozenset(), True), ("typed", frozenset({"trainer.max_epochs"}), False)):
        (tmp_path / name).mkdir()
        steps = course(Known(tmp_path / name, shorter), 60, typed)
        short = [step for step in steps if step["stage"] == "short" and step["job"] is not None]
        assert short
        assert {step["counts"] for step in short} == {counts}
        going_on = [step for step in steps if step["round"] == 2]
        assert bool(going_on) is counts  # else the default stands


@pytest.mark.parametrize("budget", [30.0, 45.0, 80.0])
def test_the_time_is_kept(tmp_path: Path, budget: float) -> None:
    jobs = Known(tmp_path, by_rate)
    steps = course(jobs, budget)
    assert jobs.now <= budget
    assert any(step["stage"] == "whole" and step["round"] == 1 and step["job"] is not None for step in steps)


def test_a_figure_whose_least_is_best_is_made_small(tmp_path: Path) -> None:
    steps = course(Known(tmp_path, lambda values: -by_rate(values), mode="min"), 10_000)
    assert any("optimizer.lr=0.009" in step["words"] for step in steps)


@pytest.mark.parametrize(("budget", "stops_at"), [(60, 3), (10_000, 18)])
def test_a_choice_that_was_interrupted_takes_the_steps_that_it_would_have_taken(
    budget: float, stops_at: int, tmp_path: Path
) -> None:
    """In the first round, and in the second one, which by then knows of something better."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    expected = course(Known(whole, by_rate), budget)
    broken.mkdir()
    jobs = Known(broken, by_rate, stops_at=stops_at)
    with pytest.raises(KeyboardInterrupt):
        course(jobs, budget)
    rest = Known(broken, by_rate)
    assert told(course(rest, budget)) == told(expected)
    assert len(jobs.ran) == stops_at
    assert len(rest.ran) == len([step for step in expected if step["job"] is not None]) - stops_at


def test_more_time_is_given_to_what_found_none(tmp_path: Path) -> None:
    often, once = tmp_path / "often", tmp_path / "once"
    often.mkdir()
    once.mkdir()
    course(Known(often, by_rate), 5)
    assert told(course(Known(often, by_rate), 10_000)) == told(course(Known(once, by_rate), 10_000))


def told(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without seconds, whose sums round."""
    return [{key: value for key, value in step.items() if key != "seconds"} for step in steps]


def test_without_a_figure_of_val_there_is_nothing_to_choose_by(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no figure of val"):
        course(Known(tmp_path, lambda values: None), 100)


def test_a_later_word_takes_the_place_of_an_earlier_one_and_options_come_first() -> None:
    assert joined(("optimizer.lr=1", "strategy=full"), ("optimizer.lr=2",)) == ("strategy=full", "optimizer.lr=2")
