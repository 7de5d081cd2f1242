"""Predictions on their way out: name, record and prediction of each input, in order, whatever happens between."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from pyarrow import parquet

from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.inputs.base import Unread
from ftlab.prediction import settings_of, write
from ftlab.predictor import Predictor
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.tasks.base import Task
from ftlab.tasks.classification import Classification
from ftlab.tasks.multilabel import Multilabel
from ftlab.tasks.regression import Regression
from ftlab.writers import CsvRows, Lines, ParquetRows, Writer, check, writer_of
from tests.conftest import Command
from tests.tasks.test_better import CLASSES, NUMBERS
from tests.test_predict import bundle, photos, predictor  # noqa: F401  (fixtures)


class Kept(Writer):
    """Keeps what it is told; full after three."""

    def begin(self) -> None:
        self.told: list[tuple[Mapping[str, Any], Mapping[str, Any], Any]] = []
        self.ended = False

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        self.told.append((name, record, raw))
        if len(self.told) == 3:
            raise OSError("full")

    def end(self) -> None:
        self.ended = True


def test_a_line_is_a_json_object_with_the_name_first_and_text_as_it_is(tmp_path: Path) -> None:
    writer = Lines(tmp_path / "lines.jsonl")
    with writer.writing():
        writer.add({"file": "ä.png"}, {"class": "栗鼠", "probability": 0.1}, torch.tensor([0.1, 0.9]))
        assert writer.output is not None
        assert len(writer.output.read_text("utf8").splitlines()) == 1  # at once, not at the end
        writer.add({"row": 2}, {"error": "no such file"}, None)
    first = '{"file": "ä.png", "class": "栗鼠", "probability": 0.1}\n'
    assert (tmp_path / "lines.jsonl").read_bytes() == (first + '{"row": 2, "error": "no such file"}\n').encode()
    with pytest.raises(FileExistsError), writer.writing():
        pass


def test_the_commonest_reasons_are_told_with_their_counts_and_where_they_are_first(
    predictor: Predictor,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def broken(text: str) -> Callable[[], Any]:
        def read() -> Any:
            raise UserError(text)

        return read

    reasons = [f"column date: '{day}.12.2023' is no date" for day in range(10, 15)]
    reasons += [f"new.csv, row {row}: the row has {row} cells" for row in (7, 8, 9)]
    reasons += ["column x: 'a' is no number", "column x: 'b' is no number", "column y: 'a' is no number"]
    inputs = [
        Unread({"file": "new.csv", "row": row}, broken(text)) for row, text in enumerate(reversed(reasons), start=2)
    ]
    failed = write(predictor, inputs, Lines(tmp_path / "lines.jsonl"), {}, batch_size=4, num_workers=0)
    assert failed == len(reasons)
    assert capsys.readouterr().err.splitlines() == [
        "5 of 11 images not predicted: column date: '14.12.2023' is no date (first: new.csv, row 8)",
        "3 of 11 images not predicted: new.csv, row 9: the row has 9 cells",
        "2 of 11 images not predicted: column x: 'b' is no number (first: new.csv, row 3)",
        "1 of 11 images not predicted for other reasons, each told in its own place",
        f"0 of 11 images predicted, written to {tmp_path / 'lines.jsonl'}",
    ]


def test_lines_without_a_file_leave_standard_output_open(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(None).writing() as writer:
        writer.add({}, {"depth": 1.5}, None)
    print("more")
    assert capsys.readouterr().out == '{"depth": 1.5}\nmore\n'


def test_a_writer_is_told_each_input_with_its_own_prediction_and_ends_after_an_error_too(
    photos: Path,  # noqa: F811
    predictor: Predictor,  # noqa: F811
) -> None:
    names = [str(photos / "3.png"), "gone.png", str(photos / "0.png")]
    inputs, _ = predictor.preprocessing.listed(names)
    writer = Kept(None)
    with pytest.raises(OSError, match="full"):
        write(predictor, inputs, writer, {"top_k": 1}, batch_size=3, num_workers=0)
    assert writer.ended
    assert [name["file"] for name, _, _ in writer.told] == names
    (_, first, raw), (_, broken, nothing), (_, third, other) = writer.told
    assert "gone.png" in broken["error"]
    assert nothing is None
    for record, chances in ((first, raw), (third, other)):
        assert chances.shape == (3,)
        assert record["probability"] == float(chances.max())
        assert len(record["top"]) == 1
    assert not torch.equal(raw, other)


# Settings at predict time


def test_a_task_takes_its_own_settings_and_refuses_what_it_does_not_read() -> None:
    task, numbers = Classification(CLASSES), Regression(NUMBERS)
    assert task.at_predict({}) == {"top_k": 5}
    assert task.at_predict({"top_k": 2}) == {"top_k": 2}
    with pytest.raises(UserError, match=r"top_k=0: expected a whole number above 0"):
        task.at_predict({"top_k": 0})
    with pytest.raises(UserError, match=r"topk=2: task=classification has no such .*did you mean 'top_k'\?"):
        task.at_predict({"topk": 2})
    with pytest.raises(UserError, match=r"top_k=3: task=regression has no such .*accepted: nothing"):
        numbers.at_predict({"top_k": 3})


def test_of_a_config_a_task_takes_its_own_and_minds_others_only_where_they_were_set() -> None:
    shipped = {"bundle": "???", "batch_size": 32, "top_k": 5}
    config = {**shipped, "bundle": "b", "batch_size": 2}
    assert settings_of(Classification(CLASSES), {**config, "top_k": 1}, shipped) == {"top_k": 1}
    assert settings_of(Regression(NUMBERS), config, shipped) == {}
    with pytest.raises(UserError, match="top_k=1: task=regression has no such setting"):
        settings_of(Regression(NUMBERS), {**config, "top_k": 1}, shipped)


def test_a_predictor_in_python_refuses_a_setting_that_its_task_has_not(
    photos: Path,  # noqa: F811
    predictor: Predictor,  # noqa: F811
) -> None:
    with pytest.raises(UserError, match=r"threshold=0\.5: task=classification has no such setting"):
        predictor.predict([str(photos / "0.png")], threshold=0.5)


# Tables


def table(output: Path, records: Sequence[tuple[dict[str, Any], Any]], task: Task, names: Sequence[str]) -> Writer:
    """What a prediction of files 0, 1, 2, ... writes with these records and predictions."""
    writer = writer_of(output, task, task.at_predict({}), names)
    with writer.writing():
        for place, (record, raw) in enumerate(records):
            writer.add({"file": f"{place}.png"}, record, raw)
    return writer


READ = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet}
BROKEN = ({"error": "no such, file"}, None)


@pytest.mark.parametrize("suffix", READ)
def test_a_table_has_a_column_for_each_class_whatever_is_asked_of_lines(tmp_path: Path, suffix: str) -> None:
    task = Classification(DataSpec("x", Classes(("a", "b", "c"), (1, 1, 1)), {}))
    raw = torch.tensor([[0.125, 0.75, 0.125], [0.5, 0.25, 0.25]])
    described = task.describe(raw, top_k=1)
    records = [BROKEN, *zip(described, raw, strict=True)]  # the first input tells no columns
    table(tmp_path / f"t{suffix}", records, task, ["file"])
    found = READ[suffix](tmp_path / f"t{suffix}")
    chances = [f"probabilities.{name}" for name in task.classes]
    assert list(found.columns) == ["file", "class", "probability", *chances, "error"]
    assert list(found["file"]) == ["0.png", "1.png", "2.png"]
    assert found["error"].tolist()[0] == "no such, file"
    assert found["error"].isna().tolist() == [False, True, True]
    assert found[chances].to_numpy()[1:].tolist() == raw.tolist()
    assert [str(name) for name in found["class"][1:]] == [one["class"] for one in described]
    assert found["probability"].isna().tolist() == [True, False, False]


@pytest.mark.parametrize("suffix", READ)
def test_a_table_of_numbers_has_a_column_for_each_and_for_what_is_told_beside_them(tmp_path: Path, suffix: str) -> None:
    task = Regression(NUMBERS, loss="quantile", quantiles=[0.1, 0.5])
    raw = torch.arange(4.0 * len(task.names)).reshape(2, len(task.names), 2)
    records = list(zip(task.describe(raw), raw, strict=True))
    table(tmp_path / f"t{suffix}", records, task, ["file"])
    found = READ[suffix](tmp_path / f"t{suffix}")
    levels = [f"quantiles.{name}.{level}" for name in task.names for level in ("0.1", "0.5")]
    assert list(found.columns) == ["file", *task.names, *levels, "error"]
    assert found[levels].to_numpy().tolist() == raw.flatten(1).tolist()
    assert found[list(task.names)].to_numpy().tolist() == raw[..., 1].tolist()


def test_labels_stand_in_one_cell_as_a_list_of_images_has_them(tmp_path: Path) -> None:
    task = Multilabel(DataSpec("x", Labels(("a", "b", "c"), (1, 1, 1)), {"train": 3}))
    raw = torch.tensor([[0.9, 0.2, 0.8], [0.1, 0.2, 0.3]])
    table(tmp_path / "t.csv", list(zip(task.describe(raw, top_k=1), raw, strict=True)), task, ["file"])
    found = pandas.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert found["labels"].tolist() == ["a;c", ""]
    assert "top" not in found.columns


def test_a_row_of_csv_is_there_at_once_and_nothing_is_overwritten(tmp_path: Path) -> None:
    output, raw = tmp_path / "t.csv", torch.tensor([[1.0]])
    writer = CsvRows(output, ["file"], lambda record, prediction: record)
    with writer.writing():
        writer.add({"file": "ä"}, {"x": 0.1}, raw)
        assert output.read_text("utf8") == "file,x,error\nä,0.1,\n"
        with pytest.raises(UserError, match="the same columns in each row"):
            writer.add({"file": "b"}, {"y": 0.1}, raw)
    for suffix in (".csv", ".parquet"):
        again = writer_of(output.with_suffix(suffix), Regression(NUMBERS), {}, ["file"])
        output.with_suffix(suffix).touch()
        before = output.with_suffix(suffix).read_bytes()
        with pytest.raises(FileExistsError), again.writing():
            pass
        assert output.with_suffix(suffix).read_bytes() == before


@pytest.mark.parametrize("suffix", READ)
def test_names_of_any_characters_stay_one_cell(tmp_path: Path, suffix: str) -> None:
    names = ["a\rb", 'c"d', "e\nf", "g,h", "i\udce4"]
    writer = writer_of(tmp_path / f"t{suffix}", Regression(NUMBERS), {}, ["file"])
    with writer.writing():
        for name in names:
            writer.add({"file": name}, *BROKEN)
    assert READ[suffix](tmp_path / f"t{suffix}")["file"].tolist() == [*names[:-1], "i\\udce4"]


def test_a_parquet_column_that_changes_its_type_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParquetRows, "at_once", 2)
    writer = ParquetRows(tmp_path / "t.parquet", ["row"], lambda record, prediction: record)
    writer.begin()
    for row in range(3):
        writer.add({"row": row}, {"x": 1.5 if row == 2 else None}, row)
    with pytest.raises(UserError, match="the column 'x' is string in its first rows"):
        writer.end()


def test_a_large_parquet_file_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParquetRows, "at_once", 3)
    writer = ParquetRows(tmp_path / "t.parquet", ["row"], lambda record, prediction: record)
    with writer.writing():
        for row in range(8):
            writer.add({"row": row}, {"x": row / 2, "sure": row > 3}, row)
    found = pandas.read_parquet(tmp_path / "t.parquet")
    assert found["x"].tolist() == [row / 2 for row in range(8)]
    assert [str(found.dtypes[name]) for name in ("row", "x", "sure")] == ["int64", "float64", "bool"]
    assert parquet.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3


def test_a_table_without_a_prediction_tells_what_was_wrong(tmp_path: Path) -> None:
    for suffix, read in READ.items():
        table(tmp_path / f"t{suffix}", [BROKEN], Regression(NUMBERS), ["file"])
        assert read(tmp_path / f"t{suffix}").to_dict("list") == {"file": ["0.png"], "error": ["no such, file"]}


def test_a_file_of_another_kind_ends_with_what_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("t.xlsx", "t", "t.json"):
        with pytest.raises(UserError, match=r"ccepted: \.csv, \.jsonl, \.parquet, \.pq\."):
            check(tmp_path / name)
    for name in ("t.CSV", "t.jsonl", "t.parquet"):
        check(tmp_path / name)
    check(None)
    monkeypatch.setattr("ftlab.writers.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"t\.parquet: writing Parquet needs pyarrow: pip install 'ftlab\[table\]'"):
        check(tmp_path / "t.parquet")


def test_a_setting_of_lines_is_refused_beside_a_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"top_k=2: is for lines; output=.* has a column for every class"):
        writer_of(tmp_path / "t.csv", Classification(CLASSES), {"top_k": 2}, [])
    assert isinstance(writer_of(tmp_path / "t.jsonl", Classification(CLASSES), {"top_k": 2}, []), Lines)


def test_the_command_line_writes_a_table_and_refuses_before_anything_is_read(
    command: Command,
    photos: Path,  # noqa: F811
    bundle: Path,  # noqa: F811
) -> None:
    assert command("predict", "bundle=gone", "input=x", "output=t.xls").err.startswith("ftlab: output=t.xls: no such")
    ended = command("predict", f"bundle={bundle}", f"input={photos}", "output=t.csv", "accelerator=cpu")
    assert ended.code == 0, ended.err
    assert ended.out == ""
    command("predict", f"bundle={bundle}", f"input={photos}", "output=t.jsonl", "accelerator=cpu")
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    rows = pandas.read_csv("t.csv").to_dict("records")
    assert [[row[key] for key in ("file", "class", "probability")] for row in rows] == [
        [line[key] for key in ("file", "class", "probability")] for line in lines
    ]
