"""Columns of dates of a file: which they are, in which order they are read, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ftlab.data.sources.column_types import is_missing, is_sign
from ftlab.files.csv_file import CsvFile
from ftlab.files.dates import ORDERS, Order, date, nanoseconds, orders, pointed
from ftlab.files.paths import short
from ftlab.problems import Problem, problem

Dates = Literal["auto", "day_first", "month_first", "categories"]  # as conf/data/table.yaml says
FIRST: dict[Dates, Order] = {"day_first": "day", "month_first": "month"}
SPOKEN = {"year": "", "day": ", read day first", "month": ", read month first"}
MOST = 0.5  # the share of dates from which a column that is taken for categories may have been meant for dates
Cell = tuple[int, str]  # line of the file, and text


@dataclass
class FoundDates:
    orders: dict[str, Order] = field(default_factory=dict)  # by column
    told: list[str] = field(default_factory=list)  # of each column, in words
    like: list[str] = field(default_factory=list)  # columns of which most cells are dates, in words

    def add(self, file: CsvFile, name: str, cells: Sequence[Cell], setting: Dates) -> bool:
        """Whether a column of texts is one of dates; cells: its own (n,).

        Raises: UserError, naming the row and what to type, where nobody can say which number is the day.
        """
        there = [(line, text) for line, cell in cells if not is_missing(text := cell.strip()) and not is_sign(text)]
        texts = {text for _, text in there}
        order = _order(file, name, there, orders(texts), setting)
        if order is None:
            self.like += _like_dates(file, name, there)
            return False
        moments = sorted((found for text in texts if (found := date(text, order))), key=nanoseconds)
        first, last = (moments[place].date().isoformat() for place in (0, -1))
        missing = f", {len(cells) - len(there):,} missing" if len(there) < len(cells) else ""
        self.told.append(f"{name} ({len(there):,} from {first} to {last}{SPOKEN[order]}{missing})")
        self.orders[name] = order
        return True

    def problems(self) -> list[Problem]:
        become = "they become numbers (days, year, month, weekday, hour); data.dates=categories leaves them as they are"
        advice = "mend the other cells, so that they become numbers"
        like = "columns hold dates in most rows, and are taken for categories"
        return [
            *problem("columns hold dates", "warning", self.told, become, learning=True),
            *problem(like, "warning", self.like, advice, learning=True),
        ]


def _order(file: CsvFile, name: str, there: Sequence[Cell], possible: Sequence[Order], setting: Dates) -> Order | None:
    """A column whose cells have two readings is read as `setting` says, else one with points day first."""
    if len(possible) < 2:
        return possible[0] if possible else None
    if setting in FIRST:
        return FIRST[setting]
    line, text = next((line, text) for line, text in there if date(text, "day") != date(text, "month"))
    if pointed(text):
        return "day"
    ways = "data.dates=day_first or data.dates=month_first says it, data.dates=categories leaves the column as it is"
    raise file.error(f"'{text}', as all dates of the column, can be read day first or month first", line, name, ways)


def _like_dates(file: CsvFile, name: str, there: Sequence[Cell]) -> list[str]:
    """The column, in words, if most of its cells are dates of one order."""
    counts = {order: sum(date(text, order) is not None for _, text in there) for order in ORDERS}
    order, most = max(counts.items(), key=lambda one: one[1])
    if not there or most < MOST * len(there):
        return []
    line, text = next((line, text) for line, text in there if not date(text, order))
    return [f"{name} ({most:,} of {len(there):,} cells are dates, '{short(text)}' in {file.row(line)} is none)"]
