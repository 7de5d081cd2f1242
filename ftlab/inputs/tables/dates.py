"""Columns of dates of a table, and the numbers that a network is given in their place.

Shapes: n rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from ftlab.files.dates import DAY, ORDERS, Order, nanoseconds
from ftlab.inputs.tables.cells import Row, as_date, cell_of

# What is said of a date, in its own zone; of a column each that is not the same in all training rows.
PARTS: Mapping[str, Callable[[datetime], float]] = {
    "year": lambda moment: float(moment.year),
    "month": lambda moment: float(moment.month),
    "weekday": lambda moment: float(moment.weekday()),  # Monday is 0
    "hour": lambda moment: moment.hour + moment.minute / 60 + moment.second / 3600,
}
DAYS = "days"  # since the first training row's; always there


@dataclass(frozen=True)
class DateColumn:
    """A column of dates: each becomes a column of numbers for each of `parts`, called NAME.PART."""

    name: str
    order: Order  # in which its cells are read
    first: str  # day of the earliest training row, ISO 8601
    parts: tuple[str, ...]

    @cached_property
    def start(self) -> int:
        return nanoseconds(datetime.fromisoformat(self.first))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column_of(self.name, part) for part in self.parts)

    def spread(self, row: Row) -> dict[str, float | None]:
        """The numbers of a row by column. Raises: UserError for a column that is not there, a cell that is no date."""
        moment = cell_of(row, self.name, partial(as_date, order=self.order))
        if moment is None:
            return dict.fromkeys(self.columns)
        values = {DAYS: (nanoseconds(moment) - self.start) / DAY, **{part: of(moment) for part, of in PARTS.items()}}
        return {column_of(self.name, part): values[part] for part in self.parts}


def column_of(name: str, part: str) -> str:
    return f"{name}.{part}"


def spread(row: Row, dates: Sequence[DateColumn]) -> Row:
    """The row with the numbers of its dates."""
    return {**row, **{name: cell for column in dates for name, cell in column.spread(row).items()}} if dates else row


def date_column(name: str, order: Order, rows: Sequence[Row]) -> DateColumn:
    """Fitted on training rows (n,), of which some may lack the date."""
    cells = (cell_of(row, name, partial(as_date, order=order)) for row in rows)
    there = [moment for moment in cells if moment is not None]
    varying = [part for part, of in PARTS.items() if len({of(moment) for moment in there}) > 1]
    first = min(there, key=nanoseconds).date().isoformat() if there else "1970-01-01"
    return DateColumn(name, order, first, (DAYS, *varying))


def stored_dates(name: Any, order: Any, first: Any, parts: Any) -> DateColumn:
    """Back from a bundle. Raises: TypeError, ValueError for what nothing can have stored."""
    known = isinstance(parts, list | tuple) and set(parts) <= {DAYS, *PARTS} and len(set(parts)) == len(parts)
    if not isinstance(name, str) or order not in ORDERS or not known or not parts:
        raise ValueError(f"preprocessing: column {name!r} has dates in the order {order!r} and the parts {parts!r}")
    column = DateColumn(name, order, first, tuple(parts))
    _ = column.start  # which says whether `first` is a date
    return column
