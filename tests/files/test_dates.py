"""Dates out of cells, in the order that all cells of a column allow."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ftlab.files.dates import date, nanoseconds, orders

NOON = datetime(2024, 3, 1, 12, 5)
DATES = {
    "2024-03-01": datetime(2024, 3, 1),
    "2024-03-01 12:05": NOON,
    "2024-03-01T12:05:00Z": NOON.replace(tzinfo=UTC),
    "2024-03-01T12:05+02:00": NOON.replace(tzinfo=timezone(timedelta(hours=2))),
    "2024/3/1": datetime(2024, 3, 1),
    "2024.03.01 9:05": datetime(2024, 3, 1, 9, 5),
    "2024-03": datetime(2024, 3, 1),
}


@pytest.mark.parametrize("text", DATES)
def test_a_date_that_begins_with_its_year_has_one_reading(text: str) -> None:
    assert date(text, "year") == DATES[text]
    assert orders([text]) == ["year"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31.12.2024", ["day"]),
        ("12/31/2024", ["month"]),
        ("1-2-2024", ["day", "month"]),
        ("3/3/2024", ["day"]),  # the same date in both
        ("31.12.2024 23:59:30", ["day"]),
        ("12/31/2024 3:15 PM", ["month"]),
        ("31.31.2024", []),
        ("30.02.2024", []),
        ("01.03.24", []),
        ("1/2.2024", []),
        ("12/31/2024 13:15 PM", []),
        ("12:30", []),
        ("2024", []),
        ("soon", []),
        ("", []),
        ("4711-03", []),  # an article
    ],
)
def test_the_orders_in_which_a_text_is_a_date(text: str, expected: list[str]) -> None:
    assert orders([text]) == expected


def test_one_cell_decides_for_its_column_and_cells_that_contradict_each_other_are_no_dates() -> None:
    assert orders(["01/02/2024", "13/02/2024"]) == ["day"]
    assert orders(["01/02/2024", "02/13/2024"]) == ["month"]
    assert orders(["13/02/2024", "02/13/2024"]) == []
    assert orders(["2024-01-02", "13/02/2024"]) == []
    assert orders([]) == []


def test_hours_before_and_after_noon() -> None:
    hours = [date(f"1/31/2024 {text}", "month") for text in ("12:00 AM", "1:00 am", "12:00 PM", "11:30 pm")]
    assert [(found.hour, found.minute) for found in hours if found] == [(0, 0), (1, 0), (12, 0), (23, 30)]


def test_nanoseconds_are_exact_and_count_a_zone() -> None:
    text = "2024-03-01T12:05:00.123456789+02:00"
    found = date(text, "year")
    assert found is not None
    whole = int(datetime(2024, 3, 1, 10, 5, tzinfo=UTC).timestamp())
    assert nanoseconds(found, text) == whole * 10**9 + 123_456_789
