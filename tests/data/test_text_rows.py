"""Rows of texts: what JSON can say that a CSV file cannot, and what `input=` names."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftlab.data.sources.text_csv import TextCsv
from ftlab.errors import UserError
from ftlab.inputs.texts.listed import listed
from ftlab.inputs.texts.preprocessing import TextPreprocessing
from tests.backbones.texts import tokenizer

SETTINGS = {
    "text_column": "text", "second_column": None, "label_column": "label", "target_columns": None, "multilabel": False,
    "label_separator": ";", "missing": "error", "split_column": None, "group_column": None, "split": [1, 0, 0],
    "missing_labels": None, "delimiter": None, "decimal": None, "encoding": None,
}  # fmt: skip
LISTS: list[Any] = [["x", "z"], ["y"], [], "x;y", ["x", 7]]


def source(root: Path, labels: list[Any], text: str = "a", **settings: Any) -> TextCsv:
    rows = [json.dumps({"text": f"{text} {place}", "label": label}) for place, label in enumerate(labels)]
    (root / "rows.jsonl").write_text("\n".join(rows))
    return TextCsv(root=str(root), file="rows.jsonl", **{**SETTINGS, **settings})


def test_a_list_of_json_is_several_labels(tmp_path: Path) -> None:
    splits = source(tmp_path, LISTS, multilabel=True).survey(0)
    assert splits.target.classes == ("7", "x", "y", "z")
    assert splits.train.targets.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]]


def test_a_list_of_parquet_is_several_labels(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table({"text": ["a", "b"], "label": [["x", "it's"], ["x"]]}), tmp_path / "rows.parquet")
    splits = TextCsv(root=str(tmp_path), file="rows.parquet", **{**SETTINGS, "multilabel": True}).survey(0)
    assert (splits.target.classes, splits.train.targets.tolist()) == (("it's", "x"), [[1, 1], [0, 1]])


def test_a_list_is_no_class(tmp_path: Path) -> None:
    (fault,) = source(tmp_path, ["x", "y", ["x", "y"]]).survey(0).faults
    assert "row 3" in fault.reason
    assert "is a list. data.multilabel=true takes several labels" in fault.reason


def test_half_of_a_character_is_a_fault_of_its_row(tmp_path: Path) -> None:
    own = source(tmp_path, ["x", "y"])
    with open(tmp_path / "rows.jsonl", "a") as file:
        file.write('\n{"text": "bad \\ud83d", "label": "x"}\n{"text": "good \\ud83d\\ude00", "label": "x"}')
    splits = own.survey(0)
    assert list(splits.train.inputs)[2] == "good \U0001f600"
    (fault,) = splits.faults
    assert "row 3, column text" in fault.reason
    transform = TextPreprocessing(tokenizer(), 0, 64, 8).transform()
    for text in ("bad \ud83d", ("a", "bad \ud83d")):
        with pytest.raises(UserError, match="half of a character"):
            transform(text)


def test_json_that_is_too_deep_is_a_fault_of_its_row(tmp_path: Path) -> None:
    own = source(tmp_path, ["x", "y"])
    with open(tmp_path / "rows.jsonl", "a") as file:
        file.write('\n{"text": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert [fault.kind for fault in own.survey(0).faults] == ["rows are no JSON"]


@pytest.mark.parametrize("text", ["~5 apples are good", "a good film " * 400, "is it [good]? " * 400])
def test_a_text_that_is_no_path_stands_for_itself(text: str) -> None:
    ((one,), _) = listed(text)
    assert (one.name, one.read()) == ({"input": text}, text)


def test_of_a_long_word_it_is_said_that_there_is_no_such_file() -> None:
    with pytest.raises(UserError, match="no such file; a text of one word is given in a file"):
        listed("a" * 300)
