"""When steps are: the cells of a time column as numbers or as dates, whichever most of them hold.

Times are compared exactly: whole numbers are ints, and so are dates, as nanoseconds since 1970.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ftlab.files.csv_file import CsvFile
from ftlab.files.dates import DAY, YEARS, date, nanoseconds
from ftlab.files.numbers import MISSING, SIGNS, number
from ftlab.files.paths import short
from ftlab.problems import Fault

Time = int | float
Cell = tuple[int, str]  # the line of the file, and what it holds there
WHOLE = re.compile(r"[+-]?\d{1,20}")  # nanoseconds since 1970 have 19 digits
LENGTHS = (6, 8, 10, 12, 14)  # of dates in digits alone: 202401, 20240131, 2024013112, ...
SECOND = 10**9  # ns
UNITS = (("days", DAY), ("hours", 3600 * SECOND), ("minutes", 60 * SECOND), ("seconds", SECOND))
DATE, NUMBER = "a date such as 2024-01-31 or 2024-01-31T12:30:00", "a finite number"


@dataclass(frozen=True)
class Clock:
    """What the cells of a time column are, decided from all of them."""

    file: CsvFile
    column: str
    dates: bool
    times: Mapping[int, Time]  # by line, of the cells of its kind
    there: int  # cells that are not blank

    def fault(self, line: int, text: str) -> Fault:
        """Of a row whose cell is not in `times`."""
        plain, kind = text.strip(), DATE if self.dates else NUMBER
        accepted = f"accepted: {NUMBER}, or {DATE}."
        if self.times:
            where = f"as {len(self.times)} of {self.there} cells that are not blank hold (the first in row"
            accepted = f"accepted: {kind}, {where} {next(iter(self.times))})."
        what = "the time is missing" if _is_blank(plain) else f"'{short(plain)}' is {_called(plain, self.dates)}"
        return self.file.fault("rows have no time", what, line, self.column, accepted)


def clock(file: CsvFile, column: str, cells: Sequence[Cell]) -> Clock:
    """Raises: UserError, naming two rows, where dates with a zone stand beside dates without one."""
    there = [(line, text.strip()) for line, text in cells if not _is_blank(text)]
    numbers = {line: value for line, text in there if (value := _number(text)) is not None}
    digits = _digit_dates([text for line, text in there if line in numbers])
    dates = dict(zip(numbers, digits, strict=True)) if digits else {}
    dates |= {line: found for line, text in there if line not in numbers and (found := date(text, "year"))}
    if len(dates) <= len(numbers) and not digits:
        return Clock(file, column, False, numbers, len(there))
    texts = dict(there)
    _check_zones(file, column, dates, texts)
    times = {line: nanoseconds(dates[line], text) for line, text in there if line in dates}
    return Clock(file, column, True, times, len(there))


def shown(step: float, dates: bool) -> str:
    """A step in time: 60.3 days, 2 hours; of numbers as they are."""
    if not dates:
        return f"{step:g}"
    name, size = next((unit for unit in UNITS if step >= unit[1]), UNITS[-1])
    return f"{round(step / size, 1) or step / size:g} {name}"


def _is_blank(text: str) -> bool:
    return text.strip().lower() in MISSING | SIGNS


def _called(text: str, dates: bool) -> str:
    """What a cell is that is no time among those of a column."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return "a date" if not dates and date(text, "year") else "no time"
    if dates:
        return "no date"
    return "no time" if math.isnan(value) else "infinite" if math.isinf(value) else "too large"


def _number(text: str) -> Time | None:
    if WHOLE.fullmatch(text):
        return int(text)
    if text[:4].isdecimal() and text[4:5] == "-":  # as a date begins, and no number: it need not be tried
        return None
    try:
        return number(text)
    except ValueError:
        return None


def _digit_dates(texts: Sequence[str]) -> list[datetime]:
    """Dates in digits alone, where all texts are some of one length; else none.

    As numbers they are in order too, but from 20240131 to 20240201 it would be 70 steps.
    """
    if len({len(text) for text in texts}) != 1 or len(texts[0]) not in LENGTHS or not all(map(str.isdecimal, texts)):
        return []
    try:
        found = [datetime(*(int(text[a:b] or 1) for a, b in _fields(len(text)))) for text in texts]  # type: ignore[arg-type]
    except ValueError:
        return []
    return found if all(one.year in YEARS for one in found) else []


def _fields(length: int) -> list[tuple[int, int]]:
    """Where year, month, day and so on stand; the day of a month alone is nowhere."""
    return [(0, 4), *((start, start + 2) for start in range(4, max(length, 8), 2))]


def _check_zones(file: CsvFile, column: str, dates: dict[int, datetime], texts: dict[int, str]) -> None:
    with_zone = next((line for line, found in dates.items() if found.tzinfo), None)
    without = next((line for line, found in dates.items() if not found.tzinfo), None)
    if with_zone is None or without is None:
        return
    rows = f"row {with_zone} has a zone ('{texts[with_zone]}') and row {without} has none ('{texts[without]}')"
    hint = "Nobody can say which of them is first: give all of them a zone, or none."
    raise file.error(f"dates with and without a zone are mixed: {rows}", column=column, hint=hint)
