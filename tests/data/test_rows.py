"""From a row of a table to the network's input, and back from a bundle."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.kinds import restored
from ftlab.inputs.tables.preprocessing import Columns, TablePreprocessing, fit
from ftlab.targets.classes import Classes

ROWS: list[dict[str, Any]] = [
    {"age": 10.0, "size": 1.0, "city": "Rome"},
    {"age": 20.0, "size": None, "city": "Rome"},
    {"age": 60.0, "size": 3.0, "city": "Oslo"},
    {"age": 30.0, "size": 8.0, "city": None},
]
COLUMNS = Columns(("age", "size"), ("city",), rare=1)
AGES = [10.0, 20.0, 60.0, 30.0]
SIZES = [1.0, 3.0, 8.0]


def fitted(**changed: Any) -> TablePreprocessing:
    return fit(ROWS, Columns(**{**vars(COLUMNS), **changed}))


def scaled(value: float, values: list[float]) -> float:
    return (value - statistics.fmean(values)) / statistics.pstdev(values)


def test_numbers_are_standardised_by_train_and_missing_ones_are_the_median_with_an_indicator() -> None:
    transform = fitted().transform()
    rows = [transform(row) for row in ROWS]
    expected = [[scaled(a, AGES), scaled(3.0 if s is None else s, SIZES), float(s is None)]
                for a, s in zip(AGES, (1.0, None, 3.0, 8.0), strict=True)]  # fmt: skip
    torch.testing.assert_close(fitted().stack(rows)["vectors"], torch.tensor(expected))
    unseen = transform({"age": 45.0, "size": 2.0, "city": "Rome"})["vectors"]
    torch.testing.assert_close(unseen, torch.tensor([scaled(45.0, AGES), scaled(2.0, SIZES), 0.0]))


def test_a_number_that_only_val_lacks_is_the_median_without_an_indicator() -> None:
    found = fitted().transform()({"age": None, "size": 1.0, "city": "Rome"})["vectors"]
    assert found.tolist() == pytest.approx([scaled(25.0, AGES), scaled(1.0, SIZES), 0.0])


def test_categories_have_ids_and_the_unseen_and_the_missing_one_each() -> None:
    transform = fitted().transform()
    cities = ["Oslo", "Rome", "Paris", None, " Rome ", "NA"]
    assert [transform({"age": 1, "size": 1, "city": c})["categories"].tolist() for c in cities] == [
        [2], [3], [0], [1], [3], [1]
    ]  # fmt: skip


def test_a_rare_category_shares_the_id_of_unseen_ones() -> None:
    preprocessing = fitted(rare=2)
    assert preprocessing.categories[0].values == ("Rome",)
    assert preprocessing.transform()(ROWS[2])["categories"].tolist() == [0]


def test_texts_of_a_file_and_numbers_of_python_are_read_alike() -> None:
    transform = fitted(categories=("city", "size"), numbers=("age",)).transform()
    text, plain = (
        transform({"age": " 3e1 ", "size": "8", "city": "Oslo"}),
        transform({"age": 30, "size": 8, "city": "Oslo"}),
    )
    assert torch.equal(text["vectors"], plain["vectors"])
    assert torch.equal(text["categories"], plain["categories"])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"age": "old", "size": 1, "city": "x"}, "column age: 'old' is no number"),
        ({"age": float("inf"), "size": 1, "city": "x"}, "column age: 'inf' is infinite"),
        ({"age": [1], "size": 1, "city": "x"}, r"column age: \[1\] is no number"),
        ({"size": 1, "city": "x", "agee": 2}, "lacks the column 'age'; did you mean 'agee'"),
    ],
)
def test_a_cell_that_is_no_number_or_not_there_is_an_error_that_names_it(row: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        fitted().transform()(row)


def test_a_constant_column_is_zero_and_told() -> None:
    rows = [{"a": 0.1, "b": float(n)} for n in range(3)]
    preprocessing = fit(rows, Columns(("a", "b"), ()))
    assert [preprocessing.transform()(row)["vectors"][0].item() for row in rows] == [0.0] * 3
    (told,) = preprocessing.remarks(Splits(Samples(rows, torch.zeros(3)), None, None, Classes(("x", "y"))).inputs())
    assert told == "column a is 0.1 in all training rows; it says nothing"


def test_what_val_has_and_train_has_not_is_counted() -> None:
    val = [{"age": None, "size": 1.0, "city": "Paris"}, {"age": 1.0, "size": None, "city": "Bern"},
           {"age": None, "size": 1.0, "city": "Paris"}]  # fmt: skip
    splits = Splits(
        Samples(ROWS, torch.zeros(4)), Samples(val, torch.zeros(3)), None, Classes(("x", "y")), kind="table"
    )
    assert fitted().remarks(splits.inputs()) == (
        "column city: 3 rows of val hold categories that are rare or absent in train ('Paris', 'Bern')",
        "column age: 2 rows of val lack it, none of train do; the median stands in",
    )


def test_an_augmentation_of_images_is_refused() -> None:
    for augment in (Augment(rotation=5), Augment(mixup=0.2), Augment(cutmix=0.2), Augment(erasing=0.1)):
        with pytest.raises(UserError, match="augment=none"):
            fitted().transform(augment)
    assert not fitted().transform(Augment()).random


def test_a_bundle_gives_back_the_same_preprocessing() -> None:
    preprocessing = fitted()
    assert restored(json.loads(json.dumps(preprocessing.stored()))) == preprocessing


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "sound"),
        (("kind",), None),
        (("numbers",), {}),
        (("numbers", 0, "std"), 0),
        (("numbers", 0, "std"), -1.0),
        (("numbers", 0, "mean"), "1"),
        (("numbers", 0, "mean"), float("inf")),
        (("numbers", 0, "filler"), None),
        (("numbers", 0, "indicator"), 7),
        (("numbers", 0, "name"), 7),
        (("numbers", 1, "name"), "age"),
        (("numbers", 0, "more"), 1),
        (("categories", 0, "values"), "abc"),
        (("categories", 0, "values"), [1, 2]),
        (("categories", 0, "values"), ["x", "x"]),
    ],
)
def test_what_nothing_can_have_stored_is_refused(path: tuple[Any, ...], value: Any) -> None:
    stored = json.loads(json.dumps(fitted().stored()))
    node = stored
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises((KeyError, TypeError, ValueError)):  # which bundle.read tells with the file's name
        restored(stored)


# Rows to predict


def test_rows_of_a_file_are_listed_with_their_line_and_a_broken_one_fails_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("city,age,size,other\nRome,1,2,x\nOslo,3\nBern,4,5,y\n")
    found, warnings = fitted().listed(str(file))
    assert warnings == ()
    assert [one.name["row"] for one in found] == [2, 3, 4]
    assert found[2].read()["age"] == "4"
    with pytest.raises(UserError, match="row 3: the row has 2 cells, and there are 4 columns"):
        found[1].read()


def test_a_file_that_lacks_a_column_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("city,aeg,size\nRome,1,2\n")
    with pytest.raises(UserError, match=r"rows.csv, column age: the column is missing; did you mean 'aeg'"):
        fitted().listed(str(tmp_path / "rows.csv"))
    with pytest.raises(UserError, match="names no file"):
        fitted().listed(str(tmp_path / "*.parquet"))


def test_python_gives_one_row_or_many() -> None:
    assert list(fitted().each(ROWS[0])) == [ROWS[0]]
    assert list(fitted().each(iter(ROWS))) == ROWS
    with pytest.raises(UserError, match="a mapping of column to cell, not a list; columns: age, size, city"):
        list(fitted().each([[1, 2, 3]]))


@pytest.mark.parametrize("cell", ["7", "7.0", 7, 7.0, " 7 ", "7."])
def test_a_whole_number_is_one_category_however_it_is_written(cell: object) -> None:
    rows = [{"zip": "7"}, {"zip": "8"}] * 3
    found = fit(rows, Columns((), ("zip",), 1))
    assert found.transform()({"zip": cell})["categories"].tolist() == [2]
    assert found.unlearned({"zip": cell}) == ()
    assert found.unlearned({"zip": "9.0"}) == ("'9' in column zip",)
    assert found.unlearned({"zip": None}) == ()


def test_the_key_of_a_message_is_the_one_that_predict_has(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"city,age,size\nRome,\0,2\n")
    with pytest.raises(UserError, match=r"it holds zero bytes; encoding=\.\.\. says how"):
        fitted().listed(str(tmp_path / "rows.csv"))
