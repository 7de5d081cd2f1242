"""What an input is, as a plan says it."""

from dataclasses import replace
from pathlib import Path

import pytest

from ftlab.assembly import assemble
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.plan_tables import facts
from tests.extension.intervals import Words


def told(*words: str) -> dict[str, str]:
    return facts(assemble(plainly(compose(words), resolve=True), describe_only=True))


def test_images_have_height_and_width_and_the_samples_are_those_of_the_subset() -> None:
    found = told("data.image_size=[32,64]", "subset=5/class", "backbone.name=resnet10t", "backbone.pretrained=false")
    assert found["network"] == "resnet10t, images of 32 x 64 pixels"
    assert found["data"] == "digits: 50 train, 269 val, 269 test"  # 1,797 * 0.15, of classes that are rounded
    assert found["targets"] == "classes (10): 0, 1, 2, 3 and 6 more"


def test_tables_have_columns_and_targets_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{place},{place % 7},{'ab'[place % 2]},{place * 3},{place % 5}" for place in range(40)]
    Path("rows.csv").write_text("\n".join(["one,two,kind,price,size", *rows]))
    words = ("task=regression", "data=table", "data.file=rows.csv", "data.split=[0.5,0.25,0.25]")
    found = told(*words, "data.target_columns=[price,size]")
    assert found == {
        "network": "table, rows of 2 numeric and 1 categorical columns",
        "data": "table: 20 train, 10 val, 10 test",
        "targets": "numbers (2): price, size",
    }
    assert told(*words, "data.target_columns=[price]", "data.columns=[two]")["network"].endswith("1 numeric column")


def test_sequences_have_their_longest_and_what_a_step_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{place},{place % 6},{place % 4}" for place in range(60)]
    Path("tide.csv").write_text("\n".join(["hour,level,wind", *rows]))
    words = ("task=regression", "data=sequence", "data.file=tide.csv", "data.time_column=hour", "data.window=8")
    found = told(
        *words, "data.target_columns=[level]", "data.horizon=1", "data.order=time", "data.columns=[level,wind]"
    )
    assert found["network"] == "sequence, sequences of at most 8 steps, each 2 numbers, read as a whole"


def test_a_kind_that_says_nothing_is_told_by_its_shapes() -> None:
    words = Words(vocabulary=("a", "b", "c"), most=5)
    assert words.summary() == f"{words.plural}: counts (3,)"
    assert replace(words, vocabulary=("a",)).summary() == f"{words.plural}: counts (1,)"
