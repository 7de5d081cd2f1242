"""Dates out of the cells of a text file: as ISO 8601 writes them, or as 31.01.2024 in an order that its column says."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Order = Literal["year", "day", "month"]  # which of the three numbers of a date comes first
ORDERS: tuple[Order, ...] = get_args(Order)
YEARS = range(1800, 2200)  # in which numbers are taken for dates: 4711-03 is the code of an article
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
DAY = 86400 * 10**9  # ns
NANOSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")  # what `datetime` drops of a fraction of a second
SHORT = len("20240131T123000.123456")  # what is no longer has no such digits
CLOCK = r"(?:[ T]+(?P<hour>\d{1,2})(?P<rest>:\d{2}(?::\d{2}(?:\.\d+)?)?)(?: ?(?P<half>[AaPp][Mm]))?)?"  # 9:05, 3:15 PM
YEAR_FIRST = re.compile(r"(?P<a>\d{4})(?P<sign>[./-])(?P<b>\d{1,2})(?:(?P=sign)(?P<c>\d{1,2})" + CLOCK + ")?")
YEAR_LAST = re.compile(r"(?P<a>\d{1,2})(?P<sign>[./-])(?P<b>\d{1,2})(?P=sign)(?P<c>\d{4})" + CLOCK)
EXAMPLES = {"year": "2024-01-31", "day": "31/01/2024", "month": "01/31/2024"}


def iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def date(text: str, order: Order) -> datetime | None:
    """The date of a cell without blanks around it, or None; the order "year" is ISO 8601, 2024/1/31 and 2024-01."""
    if not text[:1].isdecimal():  # what most texts of a table are, at the cost of a look
        return None
    if order == "year":
        return iso(text) or _built(YEAR_FIRST.fullmatch(text), "abc")
    return _built(YEAR_LAST.fullmatch(text), "cba" if order == "day" else "cab")


def orders(texts: Collection[str]) -> list[Order]:
    """Those in which all texts are dates of likely years; of several that make the same dates the first one."""
    found = [order for order in ORDERS if texts and all(_is_likely(date(text, order)) for text in texts)]
    same = len(found) > 1 and all(date(text, found[0]) == date(text, found[1]) for text in texts)
    return found[:1] if same else found


def pointed(text: str) -> bool:
    """Whether a date is written with points, where the day comes before the month everywhere."""
    return "." in text.split()[0]


def _is_likely(moment: datetime | None) -> bool:
    return moment is not None and moment.year in YEARS


def nanoseconds(moment: datetime, text: str = "") -> int:
    """Since 1970, of a date that was written as `text`; without a zone, as if it were UTC."""
    micro = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
    dropped = NANOSECONDS.search(text) if len(text) > SHORT else None
    return 1000 * micro + (int(dropped[1].ljust(3, "0")) if dropped else 0)


def _built(found: re.Match[str] | None, places: str) -> datetime | None:
    """From year, month and day, which are the groups of these names in this order."""
    if not found:
        return None
    year, month, day = (int(found[place] or 1) for place in places)
    hour, half = int(found["hour"] or 0), (found["half"] or "").lower()
    if half:
        hour = hour % 12 + 12 * (half == "pm") if 1 <= hour <= 12 else 24  # 24: no hour
    return iso(f"{year:04}-{month:02}-{day:02}T{hour:02}{found['rest'] or ':00'}")
