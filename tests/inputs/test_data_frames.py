"""Rows that come as a DataFrame are the rows of its cells, missing ones missing."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ftlab.errors import UserError
from ftlab.inputs.tables.preprocessing import CategoryColumn, NumberColumn, TablePreprocessing

pandas = pytest.importorskip("pandas", reason="pip install '.[test]' brings pandas")

HOUSES = TablePreprocessing(
    (NumberColumn("area", 2.0, 4.0, 3.0, True), NumberColumn("7", 0.0, 1.0, 0.5, False)),
    (CategoryColumn("city", ("Bern", "Rome")), CategoryColumn("floor", ("1", "2"))),
)
AREA, SEVEN = HOUSES.numbers


def fields(given: Any) -> list[dict[str, torch.Tensor]]:
    transform = HOUSES.transform()
    return [transform(row) for row in HOUSES.each(given)]


def same(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in zip(one, other, strict=True)
    )


def test_a_data_frame_is_its_rows() -> None:
    frame = pandas.DataFrame({"city": ["Rome", "Oslo"], "area": [10, 2], 7: [0.5, 1.5], "floor": [2, 1], "x": [0, 0]})
    rows = [{"city": "Rome", "area": 10, "7": 0.5, "floor": 2}, {"city": "Oslo", "area": 2, "7": 1.5, "floor": 1}]
    assert same(fields(frame), fields(rows))
    assert same(fields(frame.set_index("x").iloc[1:]), fields(rows[1:]))
    first = fields(frame)[0]
    assert first["vectors"].tolist() == [(10 - AREA.mean) / AREA.std, 0.5, 0.0]
    assert fields(frame.iloc[:0]) == []


def test_missing_cells_of_every_kind_are_missing() -> None:
    gone = [math.nan, None, pandas.NaT, pandas.NA, np.datetime64("NaT")]
    frame = pandas.DataFrame({"city": gone, "area": gone, 7: [1.0] * 5, "floor": gone}, dtype=object)
    rows = [{"city": None, "area": None, "7": 1.0, "floor": None}] * len(gone)
    assert same(fields(frame), fields(rows))
    assert fields(frame)[0]["vectors"].tolist() == [(AREA.filler - AREA.mean) / AREA.std, 1.0, 1.0]
    whole = pandas.DataFrame({"city": ["Bern", None], "area": [1.0, None], 7: [1, 2], "floor": [1, None]})
    assert whole["floor"].dtype == float  # a missing cell made 1 into 1.0; it is the same category
    assert same(fields(whole)[:1], fields([{"city": "Bern", "area": 1, "7": 1, "floor": "1"}]))


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_texts_are_texts_however_pandas_keeps_them(dtype: str) -> None:
    frame = pandas.DataFrame({"city": pandas.Series(["Rome", None], dtype=dtype), "area": 1, 7: 1, "floor": 1})
    assert [int(one["categories"][0]) for one in fields(frame)] == [3, 1]  # the second of its own ids; missing


def test_columns_that_lack_or_come_twice_are_named() -> None:
    with pytest.raises(UserError, match="lacks the column 'city'; did you mean 'citi'"):
        fields(pandas.DataFrame({"area": [1], 7: [1], "citi": ["x"], "floor": [1]}))
    with pytest.raises(UserError, match="several columns named '7'"):
        fields(pandas.DataFrame([[1, 2]], columns=[7, "7"]))
