"""Rows under named columns, as a file of rows is handed to whoever reads it.

Shapes: n rows.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ftlab.errors import UserError
from ftlab.problems import Fault, Problem

UNNAMED = re.compile(r"Unnamed: \d+|__index_level_\d+__")  # of CSV, of Parquet
WHOLE = re.compile(r"\d+(\.0)?")
Record = Mapping[str, str]  # a row by column


@dataclass(frozen=True)
class TextTable:
    """`columns` are different from each other; a row that has not a cell for each is a fault in its place."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[int, Record | Fault]]  # (n,) line of the file, and its cells
    torn: Mapping[int, Record] = field(default_factory=dict)  # by line, the cells that the rows with a fault do have
    problems: tuple[Problem, ...] = ()  # what a person should know of how the file was read

    def good(self) -> Iterator[tuple[int, Record]]:
        """The rows that have a cell for each column."""
        return ((line, row) for line, row in self.rows if not isinstance(row, Fault))


def twice(names: Sequence[str]) -> str | None:
    """The first name that two columns bear."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def named(header: Sequence[str], counting: Sequence[bool]) -> tuple[list[str | None], list[str]]:
    """What the columns are called, None for one that is left out; and those left out or named here, in words.

    header: the first row; a name is what it is without blanks around it. counting: whether a column numbers the rows,
    which it does, without a name, where a data frame was written with its index.
    """
    names: list[str | None] = []
    said: list[str] = []
    for place, (text, counts) in enumerate(zip(header, counting, strict=True), start=1):
        name = text.strip() or f"column {place}"
        if not text.strip():
            said.append(
                f"column {place}, " + ("which numbers the rows and is left out" if counts else f"called '{name}'")
            )
        names.append(None if not text.strip() and counts else name)
    return names, said


def counts(cells: Sequence[str]) -> bool:
    """Whether cells are empty, or the numbers of rows: 0, 1, 2, ... or 1, 2, 3, ..."""
    there = [cell.strip() for cell in cells]
    return not any(there) or any(there == [str(n + first) for n in range(len(there))] for first in (0, 1))


def is_index(name: str, cells: Sequence[str | float | None]) -> bool:
    """Whether a column is the index of a DataFrame, which pandas names so when it reads it back: other whole numbers in
    each row."""
    if not UNNAMED.fullmatch(name):
        return False
    return len(set(cells)) == len(cells) and all(WHOLE.fullmatch(str(cell).strip()) for cell in cells)


def given(row: Record | Fault) -> Record:
    """A row whose cells are wanted. Raises: UserError for one that has not a cell for each column."""
    if isinstance(row, Fault):
        raise UserError(row.reason)
    return row
