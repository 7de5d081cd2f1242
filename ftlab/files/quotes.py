"""Rows out of a text whose cells may be quoted, also where a quote was never closed.

A cell such as "5 inch, whose first character is a quote that ends nowhere, makes a reader of CSV take all lines up to
the next quote for one cell. Read strictly, that is an error; then lines are read one by one.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

LONGEST = 2**31 - 1  # characters of a cell; the module's own limit of 131,072 is meant for what comes over a network
Quoting = Literal[0, 3]  # csv's QUOTE_MINIMAL, and QUOTE_NONE
Line = tuple[int, list[str]]  # the last line of a row in the file, from 1, and its cells


@dataclass
class Parsed:
    """What was read of a text; rows without any cell are left out."""

    rows: list[Line] = field(default_factory=list)
    stray: list[tuple[int, str]] = field(default_factory=list)  # lines with a quote that is not closed, and their text
    broken: list[tuple[int, int]] = field(default_factory=list)  # first and last line of rows of several lines


def parsed(text: str, delimiter: str) -> Parsed:
    """The first row says how many cells a line has whose quotes are odd."""
    try:
        return _of(_rows(text, delimiter, strict=True))
    except csv.Error:
        return _line_by_line(text, delimiter)


def _rows(text: str, delimiter: str, quoting: Quoting = csv.QUOTE_MINIMAL, *, strict: bool) -> Iterator[Line]:
    csv.field_size_limit(LONGEST)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, quoting=quoting, strict=strict
    )
    return ((reader.line_num, row) for row in reader)


def _of(lines: Iterator[Line]) -> Parsed:
    found, before = Parsed(), 0
    for number, row in lines:
        if row:
            found.rows.append((number, row))
            if number > before + 1:
                found.broken.append((before + 1, number))
        before = number
    return found


def _line_by_line(text: str, delimiter: str) -> Parsed:
    """Each line by itself, and several together only where they are a row as the rules of CSV want it."""
    lines = list(io.StringIO(text, newline=""))  # str.splitlines knows more ends of lines than a file has
    found, at, width = Parsed(), 0, 0
    while at < len(lines):
        stop = _end(lines, at, delimiter)
        whole = "".join(lines[at : stop or at + 1])
        row = _row(whole, delimiter)
        if stop is None:
            fits = len(row) == width and not any(cell.endswith(("\n", "\r")) for cell in row)
            row = row if fits else _row(whole, delimiter, csv.QUOTE_NONE)
            found.stray.append((at + 1, whole.strip()))
        elif stop > at + 1:
            found.broken.append((at + 1, stop))
        at = stop or at + 1
        width = width or len(row)
        if row:
            found.rows.append((at, row))
    return found


def _end(lines: list[str], at: int, delimiter: str) -> int | None:
    """Behind the last line of the row that begins at `at`; None where a quote of it is not closed, or closed oddly."""
    text = ""
    for stop in range(at + 1, len(lines) + 1):
        text += lines[stop - 1]
        if stop > at + 1 and '"' not in lines[stop - 1]:  # it cannot end a quoted cell
            continue
        try:
            list(_rows(text, delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                continue
            return None
        return stop
    return None


def _row(text: str, delimiter: str, quoting: Quoting = csv.QUOTE_MINIMAL) -> list[str]:
    """The one row of a text, whatever its quotes."""
    return next((row for _, row in _rows(text, delimiter, quoting, strict=False)), [])
