"""The cells of a row, be they texts of a file or what a person gives in Python."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ftlab.errors import UserError, absent
from ftlab.files.dates import EXAMPLES, Order, date, pointed
from ftlab.files.numbers import MISSING, SIGNS, number
from ftlab.files.paths import short

Row = Mapping[str, Any]  # cells by column
WHOLE = re.compile(r"(-?\d+)\.0*")  # a whole number that is written as one with a point


def as_number(cell: Any) -> float | None:
    """Raises: ValueError, its text saying what the cell holds."""
    if cell is None or isinstance(cell, str):
        return number(cell or "")
    try:
        value = float(cell)
    except (TypeError, ValueError):
        raise ValueError(f"{cell!r} is no number") from None
    except OverflowError:  # a whole number of hundreds of digits
        value = math.inf
    return None if math.isnan(value) else number(repr(value))


def as_date(cell: Any, order: Order) -> datetime | None:
    """order: how a text is read. Raises: ValueError, its text saying what the cell holds."""
    if cell is None or cell != cell:  # pandas calls a missing date a date, and it equals nothing
        return None
    if isinstance(cell, datetime):
        return cell
    text = str(cell).strip()
    if text.lower() in MISSING | SIGNS:
        return None
    found = date(text, order) or date(text, "year")  # as other files write the same dates; no text is both
    if found is None and order == "year" and pointed(text):
        found = date(text, "day")
    if found is None:
        raise ValueError(f"'{short(text)}' is no date such as {EXAMPLES[order]}")
    return found


def as_category(cell: Any) -> str | None:
    """The category's name; 7, 7.0 and "7" are one, since a missing cell makes numbers with a point of all others."""
    text = "" if cell is None else str(cell).strip()
    whole = WHOLE.fullmatch(text)
    return None if text.lower() in MISSING else whole[1] if whole else text


def rows_of(given: Any) -> Any:
    """The rows of a DataFrame as pandas has it, column names as text, missing cells None; anything else as it is.

    Raises: UserError for two columns of one name.
    """
    if not all(hasattr(given, name) for name in ("to_dict", "columns", "isna")):
        return given
    names = [str(name) for name in given.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"the DataFrame has several columns named {', '.join(map(repr, twice))}; name each once")
    cells, missing = (frame.to_dict("split")["data"] for frame in (given, given.isna()))
    return [
        {name: None if gone else cell for name, cell, gone in zip(names, row, lost, strict=True)}
        for row, lost in zip(cells, missing, strict=True)
    ]


def check_columns(row: Row, names: Sequence[str]) -> None:
    """Raises: UserError for a row that lacks one of the columns `names`."""
    if missing := next((name for name in names if name not in row), None):
        raise UserError(f"the row lacks the column '{missing}'; {absent(names, map(str, row), 'it')}")


def cell_of(row: Row, column: str, read: Callable[[Any], Any]) -> Any:
    if column not in row:
        check_columns(row, (column,))
    try:
        return read(row[column])
    except ValueError as error:
        raise UserError(f"column {column}: {error}") from None
