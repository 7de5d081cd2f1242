"""Rows of a table as raw inputs.

A row is a mapping of column to cell; a cell is a number, a text, or None where it is missing.

Shapes: n rows, d numbers of a row, m columns of categories.
"""

import glob
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ftlab.batch import Fields
from ftlab.errors import UserError, absent
from ftlab.files.csv_file import NO_ROWS, CsvFile
from ftlab.files.dates import Order
from ftlab.files.dialect import FOUND, Dialect
from ftlab.files.paths import short
from ftlab.files.table_file import table_file
from ftlab.files.text_table import given, is_index, twice
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import DEVIATIONS, InputPreprocessing, Inputs, Transform, Unread
from ftlab.inputs.tables.cells import Row, as_category, as_number, cell_of, check_columns, rows_of
from ftlab.inputs.tables.columns import (
    ABSENT,
    OTHER,
    OWN_IDS,
    CategoryColumn,
    NumberColumn,
    category_column,
    number_column,
    stored_categories,
    stored_numbers,
)  # fmt: skip
from ftlab.inputs.tables.dates import DateColumn, date_column, spread, stored_dates

EXAMPLES = 3


@dataclass(frozen=True)
class Columns:
    """The columns that a network sees, and how rare a category may be (rows) to have an id."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    rare: int = 1
    dates: tuple[tuple[str, Order], ...] = ()  # with the order in which each is read


@dataclass(frozen=True)
class TablePreprocessing(InputPreprocessing):
    """Fitted on the training rows."""

    kind: ClassVar[str] = "table"
    plural: ClassVar[str] = "rows"
    from_rows: ClassVar[bool] = True

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    dates: tuple[DateColumn, ...] = ()  # whose numbers are among `numbers`

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of a row."""
        made = {name for column in self.dates for name in column.columns}
        numbers = tuple(column.name for column in self.numbers if column.name not in made)
        return (*numbers, *(one.name for one in self.dates), *(one.name for one in self.categories))

    def transform(self, augment: Augment | None = None) -> Transform:
        if augment and (augment.random or augment.mixup or augment.cutmix):
            raise UserError("augment: rows of a table are not varied as images are; use augment=none")
        return RowTransform(self)

    def each(self, given: Any) -> Iterator[Row]:
        for row in [given] if isinstance(given, Mapping) else rows_of(given):
            if not isinstance(row, Mapping):
                kind = type(row).__name__
                raise UserError(f"a row is a mapping of column to cell, not a {kind}; columns: {', '.join(self.names)}")
            yield row

    def listed(self, inputs: str | Sequence[str], dialect: Dialect = FOUND) -> tuple[list[Unread], tuple[str, ...]]:
        found: list[Unread] = []
        said: list[str] = []
        for text in [inputs] if isinstance(inputs, str) else inputs:
            paths = [text] if Path(text).exists() or not glob.has_magic(text) else sorted(glob.glob(text))
            if not paths:
                raise UserError(f"input={text}: names no file; give a CSV or Parquet file, a row for each prediction")
            for path in paths:
                file = table_file(path, Path(), "input", dialect)
                table = file.read()
                self._check_columns(file, table.columns)
                if not table.rows:
                    raise file.error(NO_ROWS)
                found += [Unread({"file": file.shown, "row": n}, partial(given, row)) for n, row in table.rows]
                said += [problem.text for problem in table.problems]
        return found, tuple(said)

    def _check_columns(self, file: CsvFile, columns: Sequence[str]) -> None:
        if missing := next((name for name in self.names if name not in columns), None):
            raise file.error(f"the column is missing; {absent(self.names, columns, 'the file')}", column=missing)

    def form(self) -> dict[str, Any]:
        """Fields: {name, type: number, usual} or {name, type: category, values} or {name, type: date, usual}."""
        found: dict[str, dict[str, Any]] = {}
        found |= {one.name: {"type": "number", "usual": one.filler} for one in self.numbers}
        found |= {one.name: {"type": "date", "usual": one.first} for one in self.dates}
        found |= {one.name: {"type": "category", "values": list(one.values)} for one in self.categories}
        return {"kind": "row", "fields": [{"name": name, **found[name]} for name in self.names]}

    def shown(self, raw: Row) -> dict[str, Any]:
        return {"cells": {name: "" if raw.get(name) is None else _short(raw[name]) for name in self.names}}

    def seen(self, fields: Fields) -> dict[str, Any]:
        vectors = fields["vectors"].tolist()
        absent = iter(vectors[len(self.numbers) :])
        cells = {
            column.name: f"{value:.2f}" + (" (missing)" if column.indicator and next(absent) else "")
            for column, value in zip(self.numbers, vectors[: len(self.numbers)], strict=True)
        }
        for column, place in zip(self.categories, fields["categories"].tolist(), strict=True):
            cells[column.name] = {OTHER: "(other)", ABSENT: "(missing)"}.get(place) or column.values[place - OWN_IDS]
        return {"cells": cells}

    @property
    def seen_as(self) -> str:
        said = (DEVIATIONS if self.numbers else "", "categories of few rows are (other)" if self.categories else "")
        return ", ".join(filter(None, said))

    def builds(self) -> dict[str, Any]:
        width = len(self.numbers) + sum(column.indicator for column in self.numbers)
        return {"numbers": width, "categories": [column.ids for column in self.categories]}

    def blank(self) -> Fields:
        made = self.builds()
        return {
            "vectors": torch.zeros(made["numbers"]),
            "ranks": torch.zeros(made["numbers"]),
            "categories": torch.zeros(len(self.categories), dtype=torch.int64),
        }

    def summary(self) -> str:
        kinds = ((len(self.numbers), "numeric"), (len(self.categories), "categorical"))
        held = " and ".join(f"{count} {kind}" for count, kind in kinds if count)
        return f"rows of {held} column{'' if len(self.names) == 1 else 's'}"

    @classmethod
    def equals(cls, inputs: Inputs) -> list[tuple[Hashable, ...]]:
        """The cells, but for a number of the row."""
        rows = [inputs[place] for place in range(len(inputs))]
        index = {name for name in rows[0] if is_index(name, [row[name] for row in rows])} if rows else set()
        return [tuple(cell for name, cell in row.items() if name not in index) for row in rows]

    def unlearned(self, raw: Row) -> tuple[str, ...]:
        there = ((column, cell_of(raw, column.name, as_category)) for column in self.categories if column.values)
        return tuple(
            f"'{short(cell)}' in column {column.name}"
            for column, cell in there
            if cell is not None and cell not in column.known
        )

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "TablePreprocessing":
        if not all(isinstance(stored[key], list) for key in ("numbers", "categories")):
            raise ValueError("preprocessing: numbers and categories must be lists of columns")
        found = cls(
            tuple(stored_numbers(**one) for one in stored["numbers"]),
            tuple(stored_categories(**one) for one in stored["categories"]),
            tuple(stored_dates(**one) for one in stored.get("dates", ())),
        )
        _check_names(found)
        return found

    def remarks(self, parts: Mapping[str, Inputs]) -> tuple[str, ...]:
        """Cells that say nothing: categories without an id, missing numbers where train lacks none, constants."""
        for inputs in parts.values():
            check_columns(inputs[0], self.names)
        if self.dates:
            parts = {split: self._spread(inputs) for split, inputs in parts.items()}
        same = {name for column in self.dates for name in column.columns[1:]}  # missing where the first of them is
        once = [column for column in self.numbers if column.name not in same]
        training = parts.get("train")  # absent where inputs are measured only
        lines = [
            f"column {column.name} is {column.mean:g} in all training rows; it says nothing"
            for column in self.numbers
            if training is not None and column.std == 1 and _constant(column.name, training)
        ]
        lines += [
            f"column {c.name}: none of its categories is frequent enough" for c in self.categories if not c.values
        ]
        for split, inputs in parts.items():
            known = [column for column in self.categories if column.values]
            lines += [line for column in known for line in _without_id(column, split, inputs)]
            lines += [line for column in once for line in _filled(column, split, inputs)]
        return tuple(lines)

    def _spread(self, inputs: Inputs) -> list[Row]:
        return [spread(inputs[place], self.dates) for place in range(len(inputs))]


class RowTransform(Transform):
    """A row to {"vectors": float32 (d,), "ranks": float32 (d,) from 0 to 1, "categories": int64 (m,)}.

    Indicators of missing numbers come after all.
    """

    def __init__(self, preprocessing: TablePreprocessing) -> None:
        self.numbers, self.categories = preprocessing.numbers, preprocessing.categories
        self.dates, self.names = preprocessing.dates, preprocessing.names
        self.ids = [column.known | {None: ABSENT} for column in self.categories]

    def then(self, first: Row) -> Fields:
        """Raises: UserError for a column that is not there, and for a cell that is no number or date and should be."""
        check_columns(first, self.names)
        first = spread(first, self.dates)
        cells = [cell_of(first, column.name, as_number) for column in self.numbers]
        there = [column.filler if cell is None else cell for column, cell in zip(self.numbers, cells, strict=True)]
        scaled = [(cell - column.mean) / column.std for column, cell in zip(self.numbers, there, strict=True)]
        ranks = [column.rank(cell) for column, cell in zip(self.numbers, there, strict=True)]
        absent = [float(cell is None) for column, cell in zip(self.numbers, cells, strict=True) if column.indicator]
        ids = [
            known.get(cell_of(first, column.name, as_category), OTHER)
            for column, known in zip(self.categories, self.ids, strict=True)
        ]
        return {
            "vectors": torch.from_numpy(np.array([*scaled, *absent], dtype=np.float32)),
            "ranks": torch.from_numpy(np.array([*ranks, *absent], dtype=np.float32)),
            "categories": torch.tensor(ids, dtype=torch.int64),
        }


def fit(inputs: Inputs, columns: Columns) -> TablePreprocessing:
    """The preprocessing of training rows.

    Raises: UserError for a cell that is no number or date and should be, and for a name that two columns would have.
    """
    rows: list[Row] = [inputs[place] for place in range(len(inputs))]
    dates = tuple(date_column(name, order, rows) for name, order in columns.dates)
    rows = [spread(row, dates) for row in rows]
    made = [name for column in dates for name in column.columns]
    if doubled := twice([*columns.numbers, *columns.categories, *made]):
        raise UserError(f"a column is called '{doubled}', as are numbers that a date becomes; rename it")
    numbers = [
        number_column(name, [cell_of(row, name, as_number) for row in rows]) for name in (*columns.numbers, *made)
    ]
    categories = tuple(category_column(name, rows, columns.rare) for name in columns.categories)
    return TablePreprocessing(tuple(numbers), categories, dates)


def _short(cell: Any) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _cells(name: str, inputs: Inputs, read: Callable[[Any], Any]) -> list[Any]:
    return [cell_of(inputs[place], name, read) for place in range(len(inputs))]


def _constant(name: str, inputs: Inputs) -> bool:
    return len(set(_cells(name, inputs, as_number)) - {None}) == 1


def _without_id(column: CategoryColumn, split: str, inputs: Inputs) -> list[str]:
    known = {None, *column.known}
    counts = Counter(cell for cell in _cells(column.name, inputs, as_category) if cell not in known)
    if not counts:
        return []
    shown = ", ".join(f"'{value}'" for value, _ in counts.most_common(EXAMPLES)) + (", ..." if len(counts) > 3 else "")
    why = "too rare to be learned" if split == "train" else "rare or absent in train"
    return [f"column {column.name}: {counts.total()} rows of {split} hold categories that are {why} ({shown})"]


def _filled(column: NumberColumn, split: str, inputs: Inputs) -> list[str]:
    lost = 0 if column.indicator else _cells(column.name, inputs, as_number).count(None)
    said = f"column {column.name}: {lost} rows of {split} lack it, none of train do; the median stands in"
    return [said] if lost else []


# --- back from a bundle


def _check_names(found: TablePreprocessing) -> None:
    """Raises: ValueError for columns that nothing can have stored."""
    numbers = [column.name for column in found.numbers]
    made = [name for column in found.dates for name in column.columns]
    if not found.names or any(twice(names) for names in (found.names, numbers)) or not {*made} <= {*numbers}:
        raise ValueError("preprocessing: columns are missing, or named twice")
