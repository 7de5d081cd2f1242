"""Gaps in time: no window lies across one, each that would is counted, and what is usual is no gap."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.files.dialect import FOUND
from ftlab.inputs.sequences.gaps import FAR, cuts, learned
from ftlab.inputs.sequences.listed import listed
from ftlab.inputs.sequences.steps import Layout
from tests.data.test_sequence import levels, source

NAMED: dict[str, Any] = {
    "time_column": "time", "target_columns": ["level"], "order": "time", "split": [1, 0, 0], "gaps": "drop"
}  # fmt: skip


def write(times: Sequence[Any], series: Sequence[str] = ()) -> str:
    """A row for each time, with its place and, as its level, its place again."""
    names = series or [""] * len(times)
    rows = [f"{time},{i},{i},{name}" for i, (time, name) in enumerate(zip(times, names, strict=True))]
    return "\n".join(["time,place,level,series", *rows, ""])


def read(folder: Path, times: Sequence[Any], series: Sequence[str] = (), **settings: Any) -> Splits:
    named = {"series_column": "series"} if series else {"columns": ["place", "level"][: 1 + settings.get("horizon", 1)]}
    return source(folder, write(times, series), **{**NAMED, **named, **settings}).read(0)


def hours(start: str, count: int) -> list[str]:
    first = datetime.fromisoformat(start)
    return [(first + timedelta(hours=i)).isoformat() for i in range(count)]


def test_windows_and_targets_across_a_gap_are_left_out_and_counted(tmp_path: Path) -> None:
    times = hours("2024-01-01T00:00:00", 240) + hours("2024-03-11T07:00:00", 240)
    splits = read(tmp_path, times, window=24)
    # Of a part of 240 rows, the last 24 have no row behind the window that they begin.
    wanted = [[*range(t, t + 25)] for first in (0, 240) for t in range(first, first + 240 - 24)]
    assert [[*window, target] for window, target in levels(splits, "train")] == wanted
    (found,) = splits.problems
    assert found.severity == "warning"
    # From the last hour of 10 January, in row 241 below the header, to 7:00 of 11 March: 60 days and 8 hours.
    assert found.text == (
        "24 windows cross a gap in time (for example 60.3 days between rows 241 and 242) and are left out; "
        "data.gaps=keep keeps them"
    )
    kept = read(tmp_path, times, window=24, gaps="keep")
    assert (len(kept.train), kept.problems) == (480 - 24, ())


@pytest.mark.parametrize("horizon", [0, 1, 5])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_missing_hour_is_a_gap_for_windows_and_their_targets(tmp_path: Path, horizon: int, stride: int) -> None:
    times = hours("2024-01-01T00:00:00", 60)
    del times[30]
    splits = read(tmp_path, times, window=4, horizon=horizon, stride=stride)
    found = [(*map(int, window), int(target)) for window, target in levels(splits, "train")]
    for *window, target in found:
        assert window == [*range(window[0], window[0] + 4)]
        assert target == window[-1] + horizon
        assert (window[0] < 30) == (target < 30)
    reach = 4 + horizon
    for first, end in ((0, 30), (30, 59)):  # the last of each part ends it, the others are `stride` apart
        begins = [window[0] for window in found if first <= window[0] < end]
        assert begins == [*range(first, end)][(end - first - reach) % stride : end - first - reach + 1 : stride]
    uncut = range((59 - reach) % stride, 59 - reach + 1, stride)
    across = sum(start < 30 <= start + reach - 1 for start in uncut)
    assert splits.problems[0].text.startswith(
        f"{across} windows cross a gap in time (for example 2 hours between rows 31 and 32)"
    )


def days(first: date, last: date, *closed: date) -> list[str]:
    """The business days from one to another."""
    every = (first + timedelta(days=i) for i in range((last - first).days + 1))
    return [day.isoformat() for day in every if day.weekday() < 5 and day not in closed]


BUSINESS = days(date(2024, 1, 2), date(2024, 6, 28), date(2024, 3, 29), date(2024, 4, 1))  # Good Friday, Easter Monday
MONTHS = [f"{year}-{month:02}-01" for year in (2022, 2023, 2024) for month in range(1, 13)]
QUARTERS = [f"{year}-{month:02}-15" for year in range(2010, 2024) for month in (1, 4, 7, 10)]
YEARS = [f"{year}-12-31" for year in range(1980, 2024)]
DIGITS = [(date(2024, 1, 1) + timedelta(days=i)).strftime("%Y%m%d") for i in range(100)]
SHIFTS = [time for day in range(1, 31) for time in hours(f"2024-06-{day:02}T08:00:00", 9)]


@pytest.mark.parametrize("times", [BUSINESS, MONTHS, QUARTERS, YEARS, DIGITS, SHIFTS, [*range(0, 300, 3)]])
def test_what_is_usual_is_no_gap(tmp_path: Path, times: list[Any]) -> None:
    splits = read(tmp_path, times, window=3)
    assert (len(splits.train), splits.problems) == (len(times) - 3, ())


@pytest.mark.parametrize(
    ("times", "lost", "shown"),
    [
        (BUSINESS, 5, "10 days"), (MONTHS, 1, "59 days"), (QUARTERS, 1, "181 days"), (YEARS, 1, "730 days"),
        (DIGITS, 1, "2 days"), ([*range(0, 300, 3)], 1, "6"), ([t / 10 for t in range(100)], 1, "0.2"),
    ],
)  # fmt: skip
def test_what_is_missing_among_the_usual_is_a_gap(tmp_path: Path, times: list[Any], lost: int, shown: str) -> None:
    place = next(
        place
        for place in range(13, len(times))
        if times is not BUSINESS or date.fromisoformat(times[place]).weekday() == 0
    )
    there = times[:place] + times[place + lost :]
    splits = read(tmp_path, there, window=3)
    assert splits.problems[0].text.startswith(
        f"3 windows cross a gap in time (for example {shown} between rows {place + 1} and {place + 2})"
    )
    assert len(splits.train) == len(there) - 3 - 3


def test_what_is_usual_is_that_of_each_series_or_for_short_ones_that_of_all(tmp_path: Path) -> None:
    daily = [24 * t for t in range(30)]
    hourly = [*range(30), *range(40, 70)]
    short = [*range(0, 4), *range(54, 57)]  # six steps, one of them of 51
    series = ["d"] * len(daily) + ["h"] * len(hourly) + ["s"] * len(short)
    splits = read(tmp_path, daily + hourly + short, series, window=2, order="random", split=[0.4, 0.3, 0.3])
    # Windows and targets of 3 rows: 2 cross the gap of h and 2 that of s, 24 is usual in d and far in h.
    assert splits.problems[0].count == 4
    assert "for example 11 between rows 61 and 62" in splits.problems[0].text
    assert sum(len(part) for part in splits.parts().values()) == 28 + (58 - 2) + (5 - 2)


def test_data_all_of_whose_windows_cross_gaps_are_an_error(tmp_path: Path) -> None:
    times = [*range(12), *range(50, 62)]
    with pytest.raises(UserError, match=r"column time: all 10 windows .* cross a gap .*39 between rows 13 and 14\)"):
        read(tmp_path, times, window=14)


def test_whole_sequences_and_steps_without_times_are_not_cut(tmp_path: Path) -> None:
    rows = [f"{s},{t + (50 if t > 6 else 0)},{t},{s}" for s in range(6) for t in range(12)]
    text = "\n".join(["series,time,x,level", *rows, ""])
    named = {**NAMED, "series_column": "series", "order": "random"}
    splits = source(tmp_path, text, **{**named, "split": [1, 0, 0]}).read(0)
    assert [len(splits.train.inputs[i]) for i in range(6)] == [12] * 6
    assert splits.problems == ()
    alone = {**named, "time_column": None, "columns": ["x"], "window": 8, "split": [0.4, 0.3, 0.3]}
    splits = source(tmp_path, text, **alone).read(0)
    assert (splits.train.inputs[0].series.shape, splits.problems) == ((8, 1), ())


# --- what predict reads


def layout(folder: Path, times: Sequence[Any], **settings: Any) -> Layout:
    splits = read(folder, times, **settings)
    assert splits.fit is not None
    return splits.fit(splits.train.inputs).layout  # type: ignore[attr-defined]


def asked(folder: Path, times: Sequence[Any], form: Layout) -> tuple[list[list[int]], str]:
    """The first and last row of each window, each of which can be read, and what is told."""
    (folder / "new.csv").write_text(write(times))
    found, said = listed(str(folder / "new.csv"), form, None, ("place",), FOUND)
    assert all(len(one.read()) == form.window for one in found)
    return [one.name["rows"] for one in found], "\n".join(said)


def test_windows_that_predict_is_given_across_a_gap_are_left_out_and_counted(tmp_path: Path) -> None:
    form = layout(tmp_path, hours("2024-01-01T00:00:00", 100), window=4)
    assert (form.gap, form.dates) == (FAR * 3600 * 10**9, True)
    found, said = asked(tmp_path, hours("2025-01-01T00:00:00", 5) + hours("2025-01-01T06:00:00", 5), form)
    # Rows 2 to 6 are of one part, 7 to 11 of the other; of the 7 windows, 3 have rows of both.
    assert found == [[2, 5], [3, 6], [7, 10], [8, 11]]
    assert said.startswith("3 windows cross a gap in time (for example 2 hours between rows 6 and 7) and are left out")
    # As many rows as a window has say nothing of what is usual: training does.
    assert asked(tmp_path, hours("2025-01-01T00:00:00", 4), form) == ([[2, 5]], "")
    two = ["2025-01-01T00:00:00", "2025-01-01T01:00:00", "2025-01-02T02:00:00", "2025-01-03T03:00:00"]
    with pytest.raises(UserError, match=r"new.csv, column time: all 1 windows .*1 days between rows 3 and 4"):
        asked(tmp_path, two, form)


def test_a_run_that_keeps_gaps_predicts_across_them(tmp_path: Path) -> None:
    form = layout(tmp_path, hours("2024-01-01T00:00:00", 100), window=4, gaps="keep")
    assert (form.gap, form.dates) == (None, False)
    found, said = asked(tmp_path, hours("2025-01-01T00:00:00", 50) + hours("2025-03-01T06:00:00", 50), form)
    assert (len(found), said) == (97, "")


def test_times_of_another_kind_are_held_against_their_own_steps() -> None:
    form = learned(Layout(None, "time", 3), [[*range(50)]], dates=False)
    hour = 3600 * 10**9
    assert cuts([t * hour for t in range(10)], form, dates=True) == []
    assert cuts([t * hour for t in (*range(10), *range(30, 40))], form, dates=True) == [10]
    assert cuts([0, 1], Layout(None, "time", 3), dates=False) == []
