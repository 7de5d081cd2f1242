"""Columns of dates of a table become numbers; a nameless index is left out; what runs of before did stays."""

import dataclasses
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from ftlab.data.base import Splits
from ftlab.data.checks.repeats import IN_TRAIN
from ftlab.errors import UserError
from ftlab.inputs.kinds import restored
from ftlab.inputs.tables.preprocessing import TablePreprocessing
from ftlab.resume import as_read
from ftlab.yaml_text import dumped, loaded
from tests.conftest import Command
from tests.data.test_table import read, refused, table, write

DAYS = [datetime(2024, 1, 30) + timedelta(days=10 * n) for n in range(6)]
NEW = {"dates": "auto", "index": "auto"}


def whens(folder: Path, texts: list[str], **changed: Any) -> Splits:
    write(folder, *(f"{text},{n}" for n, text in enumerate(texts)), header="when,price")
    return read(folder, **{**NEW, **changed})


def fitted(splits: Splits) -> TablePreprocessing:
    assert splits.fit is not None
    found = splits.fit(splits.train.inputs)
    assert isinstance(found, TablePreprocessing)
    return found


def parts(found: TablePreprocessing, row: dict[str, Any]) -> dict[str, float]:
    """The numbers that a network is given for a row, on their own scale again."""
    vector = found.transform()(row)["vectors"].double().tolist()
    return {one.name: round(value * one.std + one.mean, 3) for one, value in zip(found.numbers, vector, strict=False)}


def expected(day: datetime, first: datetime, *names: str) -> dict[str, float]:
    told = {"days": (day - first) / timedelta(days=1), "year": day.year, "month": day.month,
            "weekday": day.weekday(), "hour": day.hour + day.minute / 60}  # fmt: skip
    return {f"when.{name}": pytest.approx(told[name], abs=2e-3) for name in ("days", *names)}


FORMATS = {"%Y-%m-%d": "", "%d.%m.%Y": ", read day first", "%m/%d/%Y": ", read month first", "%Y/%m/%d": ""}


@pytest.mark.parametrize("form", FORMATS)
def test_dates_become_what_a_calendar_says_of_them_in_every_way_that_their_column_allows(
    tmp_path: Path, form: str
) -> None:
    splits = whens(tmp_path, [day.strftime(form) for day in DAYS])
    found = fitted(splits)
    for row, day in zip(splits.train.inputs, DAYS, strict=True):
        assert parts(found, row) == expected(day, DAYS[0], "month", "weekday")  # the year is the same in all
    (told,) = [one.text for one in splits.problems]
    assert told.startswith(f"1 column holds dates: when (6 from 2024-01-30 to 2024-03-20{FORMATS[form]});")
    assert "data.dates=categories" in told


def test_hours_and_years_are_told_where_they_vary(tmp_path: Path) -> None:
    days = [datetime(2023, 12, 31, 23, 30), datetime(2024, 1, 1, 6), datetime(2024, 2, 1)]
    splits = whens(tmp_path, [day.isoformat(sep=" ") for day in days])
    found = fitted(splits)
    for row, day in zip(splits.train.inputs, days, strict=True):
        assert parts(found, row) == expected(day, datetime(2023, 12, 31), "year", "month", "weekday", "hour")


def test_missing_dates_are_missing_values_and_counted(tmp_path: Path) -> None:
    texts = ["2024-01-30", "", "2024-02-09", "NaT", "2024-02-19"]
    splits = whens(tmp_path, texts)
    found = fitted(splits)
    assert [one.indicator for one in found.numbers] == [True] * 3
    assert parts(found, {"when": None})["when.days"] == 10  # the median
    told = [one.text for one in splits.problems]
    assert any("when (3 from 2024-01-30 to 2024-02-19, 2 missing)" in text for text in told)
    assert found.remarks({"train": splits.train.inputs, "test": splits.train.inputs}) == ()
    whole = fitted(whens(tmp_path, [texts[0], texts[2], texts[4]]))
    (line,) = whole.remarks({"train": [{"when": "2024-01-30"}, {"when": "2024-02-09"}], "test": [{"when": None}]})
    assert line == "column when.days: 1 rows of test lack it, none of train do; the median stands in"


def test_dates_with_two_readings_are_refused_with_what_to_type(tmp_path: Path) -> None:
    texts = ["02/02/2024", "02/03/2024", "02/04/2024"]
    with pytest.raises(UserError) as caught:
        whens(tmp_path, texts)
    said = str(caught.value)
    assert "rows.csv, row 3, column when: '02/03/2024'" in said  # the first one whose readings differ
    assert all(f"data.dates={way}" in said for way in ("day_first", "month_first", "categories"))
    for way, months in (("day_first", [2, 3, 4]), ("month_first", [2, 2, 2])):
        found = fitted(whens(tmp_path, texts, dates=way))
        days = [datetime(2024, 2, 2), datetime(2024, months[1], 2 if way == "day_first" else 3)]
        assert parts(found, {"when": texts[1]})["when.days"] == (days[1] - days[0]).days
    assert fitted(whens(tmp_path, texts, dates="categories")).categories[0].values == tuple(texts)
    assert ", read day first" in whens(tmp_path, [text.replace("/", ".") for text in texts]).problems[0].text


def test_a_column_that_says_its_order_keeps_it_whatever_is_set_for_others(tmp_path: Path) -> None:
    found = fitted(whens(tmp_path, ["01/31/2024", "02/01/2024", "02/02/2024"], dates="day_first"))
    assert found.dates[0].order == "month"


def test_a_column_with_a_cell_that_is_no_date_stays_one_of_categories_and_is_told(tmp_path: Path) -> None:
    splits = whens(tmp_path, ["2024-01-30", "2024-02-09", "soon"])
    assert fitted(splits).dates == ()
    told = [one.text for one in splits.problems]
    assert any("when (2 of 3 cells are dates, 'soon' in rows.csv, row 4 is none)" in text for text in told)


def test_numbers_and_named_categories_are_no_dates(tmp_path: Path) -> None:
    assert fitted(whens(tmp_path, ["20240130", "20240209", "20240219"])).dates == ()
    named = whens(tmp_path, ["2024-01-30", "2024-02-09"], categorical_columns=["when"])
    assert fitted(named).categories[0].values == ("2024-01-30", "2024-02-09")


def test_dates_are_columns_beside_named_categories(tmp_path: Path) -> None:
    write(tmp_path, "2024-01-30,1,5", "2024-02-09,2,6", header="when,zip,price")
    found = fitted(read(tmp_path, categorical_columns=["zip"], **NEW))
    assert [one.name for one in found.dates] == ["when"]
    assert found.names == ("when", "zip")


def test_a_bundle_keeps_order_and_first_day_and_reads_whatever_python_gives(tmp_path: Path) -> None:
    found = fitted(whens(tmp_path, [day.strftime("%d/%m/%Y") for day in DAYS]))
    again = restored(json.loads(json.dumps(found.stored())))
    assert again == found
    day = datetime(2025, 2, 1, 6)
    row = parts(found, {"when": "01/02/2025 06:00"})
    assert row == expected(day, DAYS[0], "month", "weekday")
    for given in (day, pandas.Timestamp(day), np.datetime64(day), "2025-02-01 06:00"):  # the last: as Parquet has it
        assert parts(again, {"when": given}) == row  # type: ignore[arg-type]
    with pytest.raises(UserError, match="column when: '02/31/2025' is no date such as 31/01/2024"):
        parts(found, {"when": "02/31/2025"})
    assert parts(found, {"when": date(2025, 2, 1)})["when.days"] == row["when.days"] - 0.25
    for given in (pandas.NaT, np.datetime64("NaT"), float("nan"), None, "?"):
        assert parts(found, {"when": given})["when.days"] == 25
    frame = pandas.DataFrame({"when": [pandas.Timestamp(day), pandas.NaT]})
    assert [parts(found, dict(one))["when.days"] for one in found.each(frame)] == [row["when.days"], 25]


def test_a_bundle_of_iso_dates_reads_those_with_points_which_have_one_reading(tmp_path: Path) -> None:
    found = fitted(whens(tmp_path, [day.isoformat() for day in DAYS]))
    assert [one.order for one in found.dates] == ["year"]
    for text, iso in (("18.12.2023", "2023-12-18"), ("5.2.2024 06:30", "2024-02-05T06:30")):
        assert parts(found, {"when": text}) == parts(found, {"when": iso})
    with pytest.raises(UserError, match=r"column when: '05/02/2024' is no date such as 2024-01-31"):
        parts(found, {"when": "05/02/2024"})
    months = fitted(whens(tmp_path, [day.strftime("%m/%d/%Y") for day in DAYS]))
    with pytest.raises(UserError, match=r"'18.12.2023' is no date such as 01/31/2024"):  # 05.12.2023 is another there
        parts(months, {"when": "18.12.2023"})


@pytest.mark.parametrize(
    "wrong",
    [{"order": "week"}, {"first": "soon"}, {"parts": ["age"]}, {"parts": []}, {"parts": ["days", "days"]}, {"name": 3},
     {"parts": ["days", "hour"]}],
)  # fmt: skip
def test_a_bundle_with_dates_that_nothing_can_have_stored_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    stored = fitted(whens(tmp_path, [day.isoformat() for day in DAYS])).stored()
    with pytest.raises((ValueError, TypeError)):
        restored({**stored, "dates": [{**stored["dates"][0], **wrong}]})


def test_a_bundle_of_before_has_no_dates(tmp_path: Path) -> None:
    found = fitted(whens(tmp_path, ["2024-01-30", "2024-02-09"], dates="categories"))
    stored = json.loads(json.dumps(found.stored()))
    assert stored.pop("dates") == []
    assert restored(stored) == found


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "2024-01-30,1,1", "2024-02-09,2,2", header="when,when.days,price")
    with pytest.raises(UserError, match=r"a column is called 'when\.days'"):
        fitted(read(tmp_path, **NEW))


def test_datetimes_of_parquet_are_dates(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"when": pandas.to_datetime(DAYS), "day": [day.date() for day in DAYS], "price": range(6)})
    frame.to_parquet(tmp_path / "rows.parquet")
    source = table(tmp_path, **NEW)
    source.file = "rows.parquet"
    found = fitted(source.read(0))
    assert [one.name for one in found.dates] == ["when", "day"]
    assert parts(found, source.read(0).train.inputs[1])["when.days"] == 10


# The index of a DataFrame


def test_the_index_that_pandas_writes_is_left_out_told_and_no_reason_to_miss_rows_that_repeat(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "x": [1.5, 2.5, 1.5, 4.5],
            "y": [1.5, 2.5, 1.5, 4.5],
            "price": [1, 2, 1, 4],
            "part": ["train", "train", "test", "val"],
        }
    )
    frame.to_csv(tmp_path / "once.csv")
    pandas.read_csv(tmp_path / "once.csv").to_csv(tmp_path / "rows.csv", index=False)
    assert (tmp_path / "rows.csv").read_text().startswith("Unnamed: 0,x")
    splits = read(tmp_path, split_column="part", **NEW)
    assert fitted(splits).names == ("x", "y")
    told = [one.text for one in splits.problems]
    assert (
        "1 column has no name: Unnamed: 0, which numbers the rows and is left out; data.index=keep keeps them" in told
    )
    assert any(one.kind.endswith(IN_TRAIN) for one in splits.problems)
    for kept in ({"index": "keep"}, {"columns": ["Unnamed: 0", "x", "y"]}):
        assert fitted(read(tmp_path, split_column="part", **{**NEW, **kept})).names[0] == "Unnamed: 0"


def test_a_nameless_column_that_holds_something_is_seen(tmp_path: Path) -> None:
    write(tmp_path, "5,1,1", "5,2,2", header="Unnamed: 0,x,price")
    assert fitted(read(tmp_path, **NEW)).names == ("Unnamed: 0", "x")
    write(tmp_path, "0,1", "1,2", header="Unnamed: 0,price")
    assert "all columns that the network could see are empty" in refused(tmp_path, **NEW)


# Runs of before, and the command line


def test_a_run_of_before_goes_on_with_its_data_as_it_read_them(tmp_path: Path) -> None:
    data = {"_target_": "ftlab.data.table.Table", "file": "x.csv"}  # the address of then
    (tmp_path / "config.yaml").write_text(dumped({"data": data}))
    now = {"resume": str(tmp_path), "data": {**data, **NEW}}
    assert as_read(now)["data"] == {**data, "dates": "categories", "index": "keep"}
    assert as_read({**now, "resume": None}) == {**now, "resume": None}
    assert as_read({**now, "data": {**now["data"], "dates": "day_first"}})["data"]["dates"] == "day_first"
    (tmp_path / "config.yaml").write_text(dumped(now))
    assert as_read(now) == now
    pictures = {"resume": str(tmp_path), "data": {"_target_": "ftlab.data.sources.digits.Digits"}}
    assert as_read(pictures) == pictures


WORDS = ("data=table", "data.file=rows.csv", "task=regression", "data.target_columns=[price]", "backbone.width=8")


def write_seasons(folder: Path) -> None:
    """Prices that rise with the day."""
    days = [datetime(2024, 1, 1) + timedelta(days=3 * n) for n in range(60)]
    rows = [f"{n},{day:%d.%m.%Y},{2 * n}" for n, day in enumerate(days)]
    write(folder, *rows, header="Unnamed: 0,when,price")


def test_check_train_evaluate_and_predict_read_dates_alike(command: Command) -> None:
    write_seasons(Path())
    checked = command("check", *WORDS)
    assert checked.code == 0, checked.out
    for told in ("Unnamed: 0, which numbers the rows", "60 from 2024-01-01 to 2024-06-26, read day first"):
        assert told in " ".join(checked.out.split())
    ended = command("train", *WORDS, "trainer.max_epochs=2", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert "1 column holds dates: when (60 from 2024-01-01" in " ".join(ended.out.split())
    assert json.loads(Path("run/report.json").read_text())["metrics"]["test"]["r2"] > 0.95
    Path("new.csv").write_text('when\n28.06.2024\nsoon\n""\n')
    predicted = command("predict", "bundle=run/bundle", "input=new.csv", "output=new.jsonl")
    assert predicted.code == 2
    first, second, third = [json.loads(line) for line in Path("new.jsonl").read_text().splitlines()]
    assert first["price"] == pytest.approx(2 * (datetime(2024, 6, 28) - datetime(2024, 1, 1)).days / 3, abs=15)
    assert "column when: 'soon' is no date such as 31/01/2024" in second["error"]
    assert "price" in third
    assert command("evaluate", "bundle=run/bundle").code == 0
    Path("few.csv").write_text("when,price\n01/02/2024,20\n02/03/2024,21\n")  # read as the bundle says
    assert command("evaluate", "bundle=run/bundle", *WORDS[:1], "data.file=few.csv", WORDS[3]).code == 0


def test_a_run_of_before_is_prolonged_with_its_dates_as_categories(command: Command) -> None:
    write_seasons(Path())
    words = (*WORDS, "trainer.max_epochs=2", "data.rare=1")
    assert command("train", *words, "data.dates=categories", "data.index=keep", "hydra.run.dir=run").code == 0
    for file in (Path("run/config.yaml"), Path("run/.hydra/overrides.yaml")):  # as if these keys had not been there
        held = loaded(file.read_text())
        if isinstance(held, list):
            kept: Any = [word for word in held if not word.startswith(("data.dates", "data.index"))]
        else:
            kept = {**held, "data": {key: value for key, value in held["data"].items() if key not in NEW}}
        file.write_text(dumped(kept))
    report = json.loads(Path("run/report.json").read_text())
    report["config"]["data"] = {key: value for key, value in report["config"]["data"].items() if key not in NEW}
    Path("run/report.json").write_text(json.dumps(report))
    for mode in ("check", "plan", "train"):
        ended = command(mode, "resume=run", "trainer.max_epochs=3", "resume_allow=[trainer.max_epochs]")
        assert ended.code == 0, ended.err
        assert "columns hold dates" not in ended.out
    stored = json.loads(Path("run/bundle/bundle.json").read_text())["preprocessing"]
    assert [one["name"] for one in stored["numbers"]] == ["Unnamed: 0"]
    assert [one["name"] for one in stored["categories"]] == ["when"]


def test_a_dataclass_of_dates_holds_plain_values_only() -> None:
    """What bundle.json can hold."""
    from ftlab.inputs.tables.dates import DateColumn

    column = DateColumn("when", "day", "2024-01-01", ("days",))
    assert column.start  # is not among the fields
    assert dataclasses.asdict(column) == {"name": "when", "order": "day", "first": "2024-01-01", "parts": ("days",)}
