"""When steps are: what a column of times holds is decided from all of its cells, and times are compared exactly."""

from pathlib import Path
from typing import Any

import pytest

from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.inputs.sequences.times import Clock, clock, shown
from tests.data.test_sequence import levels, source

NAMED: dict[str, Any] = {"time_column": "time", "target_columns": ["level"], "window": 2, "split": [1, 0, 0]}


def of(*cells: str) -> Clock:
    return clock(CsvFile("log.csv", Path()), "time", list(enumerate(cells, start=2)))


def table(rows: list[tuple[Any, ...]], head: str = "time,level") -> str:
    return "\n".join([head, *(",".join(map(str, row)) for row in rows), ""])


def in_order(folder: Path, times: list[str]) -> Splits:
    return source(folder, table([(t, i) for i, t in enumerate(times)]), **NAMED, order="time").read(0)


@pytest.mark.parametrize("blank", [0, 1, 39])
def test_a_blank_time_is_one_fault_of_its_series_wherever_it_stands(tmp_path: Path, blank: int) -> None:
    rows = [(s, "" if s == "a" and i == blank else i, i, 2 * i) for s in "abcd" for i in range(40)]
    named = {"series_column": "s", "time_column": "t", "target_columns": ["y"], "window": 5}
    given = source(tmp_path, table(rows, "s,t,x,y"), **named)
    splits = given.survey(0)
    (fault,) = splits.faults
    assert fault.reason == (
        f"log.csv, row {blank + 2}, column t: the time is missing; accepted: a finite number, as 159 of 159 cells that "
        f"are not blank hold (the first in row {2 if blank else 3})."
    )
    assert sum(len(part) for part in splits.parts().values()) == 3 * (40 - 5)
    with pytest.raises(UserError, match=rf"row {blank + 2}, column t: the time is missing"):
        given.read(0)


def test_most_cells_say_whether_a_column_holds_numbers_or_dates() -> None:
    dates = of("7", "2024-01-31", "", "2024-02-01T12:00")
    assert dates.dates
    assert list(dates.times) == [3, 5]
    assert "'7' is no date; accepted: a date such as" in dates.fault(2, "7").reason
    assert "as 2 of 3 cells that are not blank hold (the first in row 3)" in dates.fault(2, "7").reason
    numbers = of("2024-01-31", "1", "NA", "2.5")
    assert (numbers.dates, numbers.times) == (False, {3: 1, 5: 2.5})
    for text, what in (
        ("2024-01-31", "is a date"), ("soon", "is no time"), ("inf", "is infinite"), ("1e30", "is too large"),
        ("1_0", "is no time"),
    ):  # fmt: skip
        assert f"'{text}' {what}; accepted: a finite number, as 2 of 3" in numbers.fault(2, text).reason


def test_a_column_without_any_time_says_what_would_be_one() -> None:
    nothing = of("soon", "later")
    reason = nothing.fault(2, "soon").reason
    assert reason == (
        "log.csv, row 2, column time: 'soon' is no time; accepted: a finite number, or a date such as 2024-01-31 or "
        "2024-01-31T12:30:00."
    )


def test_nanoseconds_since_1970_are_told_apart_and_split_exactly(tmp_path: Path) -> None:
    # Floats of this size are 256 apart: all twelve would be one or two times.
    first = 1704067200 * 10**9
    assert float(first) == float(first + 11)
    times = [first + i for i in (3, 1, 2, 0, 7, 5, 4, 6, 11, 9, 8, 10)]
    rows = [(time, time - first) for time in times]
    splits = source(tmp_path, table(rows), **{**NAMED, "split": [0.5, 0.25, 0.25]}, order="time").read(0)
    assert levels(splits, "train") == [([i, i + 1], i + 2) for i in range(4)]
    assert levels(splits, "val") == [([6, 7], 8)]
    assert levels(splits, "test") == [([9, 10], 11)]


def test_a_fraction_of_a_second_counts_to_its_last_digit() -> None:
    found = of("1970-01-01T00:00:00.000000001", "1970-01-01 00:00:00.0000000020", "1970-01-01T00:00:01,5").times
    assert list(found.values()) == [1, 2, 15 * 10**8]
    assert of("1970-01-01T00:00:00.123456").times[2] == 123456000
    assert of("1970-01-01T00:00:00.1234567").times[2] == 123456700


def test_several_zones_are_one_time_and_a_mixture_with_none_names_both_rows(tmp_path: Path) -> None:
    times = ["2024-01-01T03:30:00+03:00", "2024-01-01T02:00:00Z", "2023-12-31T23:30:00-01:30", "2024-01-01T03:00:00Z"]
    splits = in_order(tmp_path, times)  # at 0:30, 2:00, 1:00 and 3:00 of UTC
    assert levels(splits, "train") == [([0, 2], 1), ([2, 1], 3)]
    for bad in ("2024-01-01T03:30:00", "2024-01-02"):
        with pytest.raises(UserError) as caught:
            in_order(tmp_path, [*times, bad])
        assert f"column time: dates with and without a zone are mixed: row 2 has a zone ('{times[0]}')" in str(
            caught.value
        )
        assert f"row 6 has none ('{bad}')" in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "hours"),
    [
        (("20240131", "20240201"), 24),
        (("202401", "202402"), 31 * 24),
        (("2024013123", "2024020100"), 1),
        (("202401312330", "202402010000"), 0.5),
        (("20240131235959", "20240201000000"), 1 / 3600),
    ],
)
def test_dates_in_digits_alone_are_dates(cells: tuple[str, str], hours: float) -> None:
    found = of(*cells)
    first, second = found.times.values()
    assert found.dates
    assert second - first == round(hours * 3600 * 10**9)


@pytest.mark.parametrize(
    "cells",
    [("20240131", "20240132"), ("202412", "202413"), ("1704067200", "1704070800"), ("2023", "2024"), ("1", "20240131")],
)
def test_digits_that_are_not_all_dates_are_numbers(cells: tuple[str, str]) -> None:
    found = of(*cells)
    assert (found.dates, list(found.times.values())) == (False, list(map(int, cells)))


def test_a_step_in_time_is_shown_in_its_largest_unit() -> None:
    second = 10**9
    assert [shown(n * second, True) for n in (90 * 86400, 7200, 90, 1, 0.25, 1e-9)] == [
        "90 days", "2 hours", "1.5 minutes", "1 seconds", "0.2 seconds", "1e-09 seconds",
    ]  # fmt: skip
    assert [shown(n, False) for n in (61, 0.5)] == ["61", "0.5"]
