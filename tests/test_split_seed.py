"""data.split_seed draws the split apart from the seed of the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftlab.assembly import _data
from ftlab.bundle import Description
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.base import Splits
from ftlab.data.membership import record
from ftlab.earlier import Measured, of_bundle
from ftlab.survey import FRESH, problems_of, surveyed
from tests.conftest import Command
from tests.test_kept_split import NOISE, SHORT, write_noise

STEPS = ["data=sequence", "data.file=steps.csv", "data.series_column=s", "data.label_column=y", "task=classification"]
SOURCES = {
    "images": ["data=digits"],
    "numbers": ["data=diabetes", "task=regression"],
    "several numbers": ["data=linnerud", "task=regression"],
    "rows": NOISE,
    "whole sequences": STEPS,
    "windows": [*STEPS, "data.window=2", "data.horizon=0"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_noise(tmp_path)
    steps = [f"{series},{series + step / 10},{'ab'[series % 2]}" for series in range(30) for step in range(4)]
    (tmp_path / "steps.csv").write_text("\n".join(["s,x,y", *steps]) + "\n")
    return tmp_path


def settings(*words: str) -> dict[str, Any]:
    return dict(plainly(compose(words), resolve=True))


def parts(words: list[str], seed: int) -> dict[str, list[str]]:
    found: Splits = surveyed(settings(*words)["data"], seed).splits
    return {split: list(samples.names) for split, samples in found.parts().items()}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_splits_by_it_whatever_the_seed_of_the_run(here: Path, source: str) -> None:
    words = SOURCES[source]
    expected = parts(words, 5)
    assert parts(words, 1) != expected
    assert parts([*words, "data.split_seed=5"], 1) == expected
    assert parts([*words, "data.split_seed=null"], 5) == expected


def test_it_draws_the_subset_too(here: Path) -> None:
    def taken(*words: str) -> list[str]:
        splits, _, _ = _data(settings("data=diabetes", "task=regression", "subset=20", *words), None, FRESH)
        return list(splits.train.names)

    assert taken("seed=1", "data.split_seed=5") == taken("seed=5") != taken("seed=1")


def test_a_check_looks_at_the_same_split(here: Path) -> None:
    lines = (here / "noise.csv").read_text().splitlines()
    (here / "noise.csv").write_text("\n".join([*lines, *lines[1:13]]) + "\n")  # some of them in train and in test

    def told(seed: int, *words: str) -> set[str]:
        return {one.text for one in problems_of(settings(*NOISE, *words)["data"], seed).problems}

    assert told(1, "data.split_seed=5") == told(5) != told(1)


def test_one_that_draws_nothing_is_told(here: Path) -> None:
    lines = (here / "noise.csv").read_text().splitlines()
    named = [f"{line},{('train', 'val', 'test')[place % 3]}" for place, line in enumerate(lines[1:])]
    (here / "noise.csv").write_text("\n".join([f"{lines[0]},part", *named]) + "\n")
    words = [*NOISE, "data.split_column=part"]
    assert surveyed(settings(*words)["data"], 0).said == ()
    (said,) = surveyed(settings(*words, "data.split_seed=3")["data"], 0).said
    assert said.startswith("data.split_seed=3 draws no split")


def test_a_run_its_bundle_and_one_that_goes_on_know_it(command: Command) -> None:
    write_noise(Path())
    ended = command("train", *NOISE, *SHORT, "seed=1", "data.split_seed=5", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    kept = record.read(Path("run/bundle"))
    assert kept is not None
    whole = surveyed(settings(*NOISE)["data"], 5)
    counted = [int((kept.splits == place).sum()) for place in range(3)]
    assert counted == [len(part) for part in whole.splits.parts().values()]
    assert command("evaluate", "bundle=run/bundle", "output=with.json").code == 0
    (Path("run/bundle") / record.FILE).unlink()  # so that it is drawn again
    assert command("evaluate", "bundle=run/bundle", "output=without.json").code == 0
    figures = [json.loads(Path(name).read_text())["metrics"] for name in ("with.json", "without.json")]
    assert figures[0] == figures[1] == json.loads(Path("run/report.json").read_text())["metrics"]["test"]
    more = ("trainer.max_epochs=3", "resume_allow=[trainer.max_epochs]")
    refused = command("train", "resume=run", "data.split_seed=6", *more)
    assert refused.code == 2
    assert "data.split_seed (5 -> 6)" in refused.err
    assert command("train", "resume=run", *more).code == 0


@pytest.mark.parametrize(
    ("trained", "asked", "told"),
    [
        ([], [], "the run's seed 3"),
        (["data.split_seed=7"], [], "the run's data.split_seed=7"),
        (["data.split_seed=7"], ["data.split_seed=5"], "data.split_seed=5"),
    ],
)
def test_an_evaluation_names_the_key_that_the_seed_of_its_split_came_from(
    here: Path, trained: list[str], asked: list[str], told: str
) -> None:
    (here / "other.csv").write_text((here / "noise.csv").read_text())
    found = measured(here, [*NOISE, "seed=3", *trained], [*NOISE, "data.file=other.csv", *asked], "test")
    assert f"split=test is drawn by {told}; split=all measures all samples" in found.said


def test_a_measured_table_is_not_told_how_its_columns_would_be_learned(here: Path) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 31)]
    rows = [f"{place},{day},{'soon' if place == 0 else day},,{place}" for place, day in enumerate(days)]
    (here / "days.csv").write_text("\n".join(["Unnamed: 0,when,late,empty,y", *rows]) + "\n")
    words = ["data=table", "data.file=days.csv", "data.target_columns=[y]", "task=regression"]
    told = {one.text for one in problems_of(settings(*words)["data"], 0).problems}
    advised = ("data.dates=categories", "mend the other cells", "data.index=keep", "leave them out by data.columns")
    learning = {text for text in told if any(words in text for words in advised)}
    assert len(learning) == 4
    said = {text for text in measured(here, words, None).said if text in told}
    assert not said & learning
    assert any("column is empty in all rows" in text for text in said)  # what is so of any data is still told


def measured(folder: Path, trained: list[str], asked: list[str] | None, split: str | None = None) -> Measured:
    """What a bundle of a run of `trained` measures; None: of the run's own data."""
    config = settings(*trained)
    nothing: dict[str, Any] = {}
    bundle = Description("", nothing, nothing, nothing, nothing, nothing, 1, nothing, {}, config)
    return of_bundle(settings(*asked)["data"] if asked else None, None, split, folder, bundle, ())
