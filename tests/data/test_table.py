"""Rows of files as samples, and what is wrong with them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_linnerud

from ftlab.data.base import Splits
from ftlab.data.sources.diabetes import Diabetes
from ftlab.data.sources.linnerud import Linnerud
from ftlab.data.sources.table import Table
from ftlab.errors import UserError

HEADER = "age,city,price"
SETTINGS: dict[str, Any] = {
    "target_columns": ["price"], "label_column": None, "columns": None, "categorical_columns": None,
    "missing": "error", "rare": 1, "split_column": None, "split": [1.0, 0.0, 0.0],
}  # fmt: skip


def write(folder: Path, *rows: str, header: str = HEADER) -> None:
    (folder / "rows.csv").write_text("\n".join([header, *rows]) + "\n")


def table(folder: Path, **changed: Any) -> Table:
    return Table(str(folder), "rows.csv", **{**SETTINGS, **changed})


def read(folder: Path, **changed: Any) -> Splits:
    return table(folder, **changed).read(0)


def refused(folder: Path, **changed: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, **changed)
    return str(caught.value)


GOOD = ("31,Rome,1.5", "45,Oslo,2.5", "28,Rome,0.5", "60,Bern,4")


def test_cells_become_numbers_or_categories_by_what_the_columns_hold(tmp_path: Path) -> None:
    write(tmp_path, *GOOD, ",,3")
    train = read(tmp_path).train
    assert list(train.inputs) == [
        {"age": 31.0, "city": "Rome"}, {"age": 45.0, "city": "Oslo"}, {"age": 28.0, "city": "Rome"},
        {"age": 60.0, "city": "Bern"}, {"age": None, "city": None},
    ]  # fmt: skip
    assert train.targets.tolist() == [[1.5], [2.5], [0.5], [4.0], [3.0]]
    assert train.name(1) == "rows.csv, row 3"


def test_the_network_sees_neither_target_nor_label_nor_split(tmp_path: Path) -> None:
    write(tmp_path, *(f"{row},{split}" for row, split in zip(GOOD, ("train", "train", "val", "test"), strict=True)),
          header=f"{HEADER},part")  # fmt: skip
    splits = read(tmp_path, split_column="part")
    assert {name: len(samples) for name, samples in splits.parts().items()} == {"train": 2, "val": 1, "test": 1}
    assert splits.val is not None
    assert splits.val.inputs[0] == {"age": 28.0, "city": "Rome"}
    labelled = read(tmp_path, split_column=None, target_columns=None, label_column="city", columns=["age"])
    assert labelled.target.classes == ("Bern", "Oslo", "Rome")
    assert labelled.train.targets.tolist() == [2, 1, 2, 0]
    assert labelled.train.inputs[0] == {"age": 31.0}


def test_splits_are_made_by_seed_and_share_no_row(tmp_path: Path) -> None:
    write(tmp_path, *(f"{n}.5,{n % 3},{n}" for n in range(40)))
    splits = read(tmp_path, split=[0.5, 0.25, 0.25])
    parts = [tuple(row["age"] for row in samples.inputs) for samples in splits.parts().values()]
    assert [len(part) for part in parts] == [20, 10, 10]
    assert len({age for part in parts for age in part}) == 40
    again = table(tmp_path, split=[0.5, 0.25, 0.25]).read(1)
    assert tuple(row["age"] for row in again.train.inputs) != parts[0]


def test_columns_of_numbers_can_be_named_categories(tmp_path: Path) -> None:
    write(tmp_path, "31,1,1.5", "45,2,2.5", "28,1,0.5")
    splits = read(tmp_path, categorical_columns=["city"])
    assert splits.train.inputs[0] == {"age": 31.0, "city": "1"}
    assert splits.fit is not None
    fitted = splits.fit(splits.train.inputs)
    assert fitted.builds() == {"numbers": 1, "categories": [4]}  # two values, one id for others, one for missing ones


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (("31,Rome,cheap", *GOOD), ("rows.csv, row 2, column price", "'cheap' is no number")),
        ((*GOOD, "31,Rome,inf"), ("rows.csv, row 6, column price", "'inf' is infinite")),
        ((*GOOD, "31,Rome,"), ("rows.csv, row 6, column price", "the target is missing", "data.missing=drop")),
        (("1,Rome,2", "2,Oslo,2"), ("rows.csv, row 2, column price", "2 in all 2 rows of the train split (to row 3)")),
        ((*GOOD * 5, "inf,Rome,1"), ("rows.csv, row 22, column age", "'inf' is infinite")),
        ((*GOOD * 5, "old,Rome,1"), ("rows.csv, row 22, column age", "'old' is no number", "data.categorical_columns")),
        ((*GOOD, "1,Rome"), ("rows.csv, row 6", "has 2 cells, and there are 3 columns")),
        ((*GOOD, "1,Rome,2,3"), ("rows.csv, row 6", "has 4 cells, and there are 3 columns")),
        ((), ("rows.csv", "no rows")),
    ],
)
def test_what_is_wrong_is_told_with_file_row_and_column(tmp_path: Path, rows: tuple[str, ...], told: Any) -> None:
    write(tmp_path, *rows)
    message = refused(tmp_path)
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"target_columns": ["prise"]}, "data.target_columns=prise is no column; did you mean 'price'?"),
        ({"columns": ["aeg"]}, "data.columns=aeg is no column; did you mean 'age'?"),
        ({"split_column": "part"}, "data.split_column=part is no column"),
        ({"columns": ["age", "price"]}, "price is a target"),
        ({"columns": ["age"], "categorical_columns": ["city"]}, "city is no column that the network sees"),
        ({"target_columns": None}, "say what to predict"),
        ({"label_column": "city"}, "say what to predict"),
        ({"target_columns": None, "label_column": "price", "missing": "drop", "split": [1, 0, 0]}, None),
    ],
)
def test_columns_are_checked_by_name(tmp_path: Path, settings: dict[str, Any], told: str | None) -> None:
    write(tmp_path, *GOOD)
    if told is None:
        assert read(tmp_path, **settings).target.classes == ("0.5", "1.5", "2.5", "4")
    else:
        assert told in refused(tmp_path, **settings)


def test_a_name_of_two_columns_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "1,2,3", header="age,age,price")
    assert "column age: the name is that of two columns" in refused(tmp_path)


def test_rows_without_a_target_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    write(tmp_path, *GOOD, "33,Rome,", "34,Rome,NA")
    splits = read(tmp_path, missing="drop")
    assert len(splits.train) == 4
    assert splits.warnings == ("2 of 6 rows are left out, since a target is missing: price in 2",)
    write(tmp_path, *GOOD, "33,,1")
    labelled = read(tmp_path, missing="drop", target_columns=None, label_column="city")
    assert len(labelled.train) == 4
    assert labelled.warnings[0] == "1 of 5 rows are left out, since the label is missing"
    assert "row 6, column city: the label is missing" in refused(tmp_path, target_columns=None, label_column="city")


def test_a_label_that_train_has_not_is_an_error_and_one_class_too(tmp_path: Path) -> None:
    settings = {"target_columns": None, "label_column": "city", "split_column": "part"}
    rows = ["1,Rome,1,train", "2,Oslo,2,train", "3,Bern,3,test"]
    write(tmp_path, *rows, header=f"{HEADER},part")
    assert "row 4, column city: label 'Bern' of split test is not in train" in refused(tmp_path, **settings)
    write(tmp_path, rows[0], "2,Rome,2,train", header=f"{HEADER},part")
    assert "'Rome' in all rows" in refused(tmp_path, **settings)


def test_columns_that_are_empty_or_name_the_rows_are_told(tmp_path: Path) -> None:
    write(tmp_path, *(f"{n},{n % 7}.5,person {n},,{n * n}" for n in range(30)), header="id,age,name,empty,price")
    splits = read(tmp_path)
    told = [found.text for found in splits.problems]
    assert any(text.startswith("1 column is empty in all rows: empty") for text in told)
    assert any("2 columns have another value in nearly each row: id, name" in text for text in told)


def test_a_row_of_test_that_is_in_train_is_told(tmp_path: Path) -> None:
    write(tmp_path, "1,Rome,1,train", "2,Oslo,2,train", "2,Oslo,2,test", "2,Oslo,3,test", header=f"{HEADER},part")
    (found,) = read(tmp_path, split_column="part").problems
    assert found.text.startswith("1 row of test is in train too: rows.csv, row 4")


def test_a_survey_names_every_row_that_cannot_be_used(tmp_path: Path) -> None:
    write(tmp_path, *GOOD * 5, "old,Rome,1", "33,Rome,cheap")
    splits = table(tmp_path).survey(0)
    assert len(splits.train) == 20
    assert [fault.name for fault in splits.faults] == ["rows.csv, row 23", "rows.csv, row 22"]


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="an extra: pip install 'ftlab[table]'")
    from pyarrow import parquet
    from pyarrow import table as arrow_table

    columns = {
        "age": [31, 45, None],
        "share": [0.1, 1 / 3, math.nan],
        "city": ["Rome", None, "Oslo"],
        "price": [1.5, 2, 3],
    }
    parquet.write_table(arrow_table(columns), tmp_path / "rows.parquet")
    splits = Table(str(tmp_path), "rows.parquet", **SETTINGS).read(0)
    assert list(splits.train.inputs) == [
        {"age": 31.0, "share": 0.1, "city": "Rome"}, {"age": 45.0, "share": 1 / 3, "city": None},
        {"age": None, "share": None, "city": "Oslo"},
    ]  # fmt: skip
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(UserError, match=r"broken.parquet: not a Parquet file"):
        Table(str(tmp_path), "broken.parquet", **SETTINGS).read(0)


def test_the_tables_of_scikit_learn_are_whole() -> None:
    for source, loaded in ((Diabetes([1, 0, 0]), load_diabetes(scaled=False)), (Linnerud([1, 0, 0]), load_linnerud())):
        splits = source.read(0)
        values = np.array([list(row.values()) for row in splits.train.inputs])
        assert np.array_equal(values, loaded["data"])
        assert torch.equal(splits.train.targets, torch.from_numpy(loaded["target"].reshape(len(values), -1)).float())
        assert len(splits.target.names) == splits.train.targets.shape[1]


def test_a_column_of_numbers_that_all_differ_is_no_column_of_classes(tmp_path: Path) -> None:
    named: dict[str, Any] = {"target_columns": None, "label_column": "price", "split": [0.7, 0.15, 0.15]}
    write(tmp_path, *(f"{n},Rome,{n // 2}.5" for n in range(40)))  # each price is that of two rows
    told = refused(tmp_path, **named)
    assert "rows.csv, column price: none of its 20 classes has 3 samples" in told
    assert "predict the number by task=regression 'data.target_columns=[price]' instead of data.label_column" in told
    assert len(read(tmp_path, **{**named, "split": [1, 0, 0]}).train) == 40
    write(tmp_path, *(f"{n},Rome,{n // 3}.5" for n in range(40)))  # of three rows: one is left for val and for test
    assert read(tmp_path, **named).val is not None
    write(tmp_path, *(f"{n},Rome,house {n}" for n in range(40)))
    told = refused(tmp_path, **named)
    assert "regression" not in told
    assert "train on all by data.split=[1,0,0]" in told
    write(tmp_path, *(f"{n},Rome,{n % 2},{'val' if n > 1 else 'train'}" for n in range(4)), header=f"{HEADER},part")
    assert read(tmp_path, **named, split_column="part").val is not None  # the file says it
