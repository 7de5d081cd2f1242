"""Rows of a CSV or Parquet file, with numbers or a class to predict.

Shapes: n rows, t targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ftlab.data.base import Source, Splits
from ftlab.data.checks.repeats import repeated
from ftlab.data.sources.column_types import naming, typed
from ftlab.data.sources.columns import seen, sort
from ftlab.data.sources.date_columns import Dates
from ftlab.data.sources.listed import Sharing, blaming, dealt, group_of
from ftlab.data.sources.split_names import split_of
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import NO_ROWS, CsvFile
from ftlab.files.dialect import dialect
from ftlab.files.folders import existing_folder
from ftlab.files.table_file import table_file
from ftlab.files.text_table import Record, is_index
from ftlab.inputs.tables.preprocessing import Columns, fit
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.cells.base import Cells
from ftlab.targets.cells.classes import ClassCells
from ftlab.targets.cells.numbers import NumberCells


@dataclass(frozen=True)
class _Row:
    line: int  # in the file, the header of a CSV file is 1
    cells: Mapping[str, Any]  # texts by column; those that the network sees, typed, once it is known what they hold
    target: Any  # to predict, as targets.cells reads it
    split: str
    group: str


class Table(Source):
    """One row a sample; the first row of a CSV file names the columns.

    `target_columns` are numbers to predict, or `label_column` is the class. `columns` are what the network sees (None:
    all others but `drop`); `categorical_columns` of these are categories (None: those of text). `missing`: what a row
    without one of its targets is, an error, or left out and counted (drop). `rare`: see Columns.
    Raises (read): UserError, naming file, row and column.
    """

    def __init__(
        self,
        root: str,
        file: str,
        target_columns: Sequence[str] | None,
        label_column: str | None,
        columns: Sequence[str] | None,
        categorical_columns: Sequence[str] | None,
        missing: Literal["error", "drop"],
        rare: int,
        split_column: str | None,
        split: Sequence[float],
        group_column: str | None = None,
        drop: Sequence[str] | None = None,
        missing_labels: Sequence[str] | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        dates: Dates = "categories",  # this and the next are what runs did that lack the key
        index: Literal["auto", "keep"] = "keep",
    ) -> None:
        self.root = root
        self.file = file
        self.target_columns = tuple(target_columns or ())
        self.label_column = label_column
        self.columns = columns
        self.categorical_columns = categorical_columns
        self.missing = missing
        self.rare = rare
        self.split_column = split_column
        self.split = split
        self.group_column = group_column
        self.drop = drop
        self.missing_labels = missing_labels
        self.dates, self.index = dates, index
        self.dialect = dialect(delimiter, decimal, encoding)

    def survey(self, seed: int) -> Splits:
        return _Reading(self, table_file(self.file, existing_folder(self.root), dialect=self.dialect)).splits(seed)


class _Reading:
    """One reading of the file of a `Table`."""

    def __init__(self, settings: Table, file: CsvFile) -> None:
        self.settings, self.file = settings, file
        self.cells: Cells = (
            NumberCells(file, settings.target_columns, settings.missing)
            if settings.target_columns
            else ClassCells(file, settings.label_column or "", settings.missing, missing_labels=settings.missing_labels)
        )
        self.seen: list[str] = []  # the columns that the network sees, and those that number the rows
        self.numbers: tuple[str, ...] = ()  # those of them that hold numbers

    def splits(self, seed: int) -> Splits:
        table = self.file.read()
        self._check_columns(table.columns)
        if not table.rows:
            raise self.file.error(NO_ROWS)
        found = [self._row(line, record) for line, record in table.rows]
        rows, faults = _parted(found)
        if not rows:
            raise UserError(faults[0].reason)
        columns, bad, problems = self._columns(rows)
        rows, faults = self._without(rows, [*faults, *bad])
        if not rows:
            raise UserError(faults[0].reason)
        rows = [replace(row, cells=typed(row.cells, self.seen, self.numbers)) for row in rows]
        s = self.settings
        sharing = Sharing(s.split_column, s.group_column, s.split, s.learned)
        with blaming(faults):
            whole, _ = dealt(self.file, self.cells, rows, self._made, sharing, seed)
        _, faults = self._without([], [*faults, *whole.faults])
        whole = replace(whole, faults=tuple(faults), kind="table", fit=partial(fit, columns=columns))
        return replace(whole, problems=(*table.problems, *problems, *whole.problems, *repeated(whole)))

    # --- columns

    def _check_columns(self, columns: Sequence[str]) -> None:
        s = self.settings
        if bool(s.target_columns) == bool(s.label_column):
            known = ", ".join(columns)
            raise UserError(
                f"data=table: say what to predict by data.target_columns=[...] (numbers) or data.label_column=... (a "
                f"class), one of the two; {self.file.shown} has the columns {known}."
            )
        self.cells.check_columns(columns)
        for key, name in (("split_column", s.split_column), ("group_column", s.group_column)):
            if name is not None and name not in columns:
                raise self.file.error(f"data.{key}={name} is no column", hint=choices(name, columns))
        own = {*s.target_columns, s.label_column, s.split_column, s.group_column}
        self.seen = seen(self.file, columns, s.columns, s.drop, own)
        odd = [name for name in s.categorical_columns or () if name not in self.seen]
        if odd:
            near = choices(odd[0], self.seen)
            raise UserError(f"data.categorical_columns: {odd[0]} is no column that the network sees; {near}")

    def _columns(self, rows: Sequence[_Row]) -> tuple[Columns, list[Fault], list[Problem]]:
        """Which columns are numbers, dates and categories, cells that are neither, and columns of no use."""
        s = self.settings
        cells = {name: [(row.line, row.cells[name]) for row in rows] for name in self.seen}
        # What is measured only is read as its bundle says.
        found = sort(self.file, cells, s.categorical_columns, s.dates if s.learned else "categories")
        texts = {name: [cell for _, cell in cells[name]] for name in (*found.numbers, *found.categories)}
        drops = s.learned and s.index == "auto" and s.columns is None
        index = [name for name in found.numbers if drops and is_index(name, texts.pop(name))]
        self.numbers = tuple(found.numbers)
        numbers = tuple(name for name in found.numbers if name not in index)
        if not numbers and not found.categories and not found.dates:
            raise self.file.error("all columns that the network could see are empty")
        left_out = [f"{name}, which numbers the rows and is left out" for name in index]
        problems = [
            *problem("columns have no name", "warning", left_out, "data.index=keep keeps them", learning=True),
            *found.problems,
            *naming(texts, numbers),
        ]
        columns = Columns(numbers, tuple(found.categories), s.rare, tuple(found.dates.items()))
        return columns, found.faults, problems

    # --- rows

    def _row(self, line: int, record: Record | Fault) -> _Row | Fault:
        if isinstance(record, Fault):
            return record
        target = self.cells.of_row(line, record)
        s = self.settings
        split = split_of(self.file, line, record.get(s.split_column or ""), s.split_column)
        group = group_of(self.file, line, record.get(s.group_column or ""), s.group_column)
        fault = next((found for found in (target, split, group) if isinstance(found, Fault)), None)
        return fault or _Row(line, record, target, str(split), str(group))

    def _without(self, rows: list[_Row], faults: list[Fault]) -> tuple[list[_Row], list[Fault]]:
        """The rows that no fault names, and the first fault of each row."""
        first = {fault.name: fault for fault in reversed(faults)}
        return [row for row in rows if self.file.row(row.line) not in first], list(reversed(first.values()))

    def _made(self, rows: list[_Row]) -> tuple[list[Mapping[str, Any]], list[str]]:
        return [row.cells for row in rows], [self.file.row(row.line) for row in rows]


def _parted(found: Sequence[_Row | Fault]) -> tuple[list[_Row], list[Fault]]:
    return [row for row in found if isinstance(row, _Row)], [row for row in found if isinstance(row, Fault)]
