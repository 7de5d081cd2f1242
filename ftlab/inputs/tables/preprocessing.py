"""Rows of a table as raw inputs.

A row is a mapping of column to cell; a cell is a number, a text, or None where it is missing.

Shapes: n rows, d numbers of a row, m columns of categories.
"""

import glob
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np
import torch

from ftlab.batch import Fields
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import FOUND, Dialect
from ftlab.files.paths import short
from ftlab.files.table_file import table_file
from ftlab.files.text_table import given
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import DEVIATIONS, InputPreprocessing, Inputs, Transform, Unread
from ftlab.inputs.tables.cells import Row, as_category, as_number, cell_of, rows_of

OTHER, ABSENT = 0, 1  # ids of a category that has none of its own, and of a missing one
OWN_IDS = 2  # ids from here on are those of a column's values
EXAMPLES = 3


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: (cell - mean) / std; a missing cell is `filler`, and has a 1 of its own if `indicator`."""

    name: str
    mean: float  # of the training cells that are there
    std: float
    filler: float  # their median
    indicator: bool  # whether some training cells are missing


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories, of which those with enough training rows have an id of their own."""

    name: str
    values: tuple[str, ...]

    @cached_property
    def known(self) -> dict[str, int]:
        """The id of each category; of two that are written for the same, as 7 and 7.0, the first one's."""
        return {as_category(v) or v: OWN_IDS + i for i, v in reversed(tuple(enumerate(self.values)))}

    @property
    def ids(self) -> int:
        return OWN_IDS + len(self.values)


@dataclass(frozen=True)
class Columns:
    """The columns that a network sees, and how rare a category may be (rows) to have an id."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    rare: int = 1


@dataclass(frozen=True)
class TablePreprocessing(InputPreprocessing):
    """Fitted on the training rows."""

    kind: ClassVar[str] = "table"
    plural: ClassVar[str] = "rows"
    from_rows: ClassVar[bool] = True

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*(column.name for column in self.numbers), *(column.name for column in self.categories))

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
                found += [Unread({"file": file.shown, "row": n}, partial(given, row)) for n, row in table.rows]
                said += [problem.text for problem in table.problems]
        return found, tuple(said)

    def _check_columns(self, file: CsvFile, columns: Sequence[str]) -> None:
        for name in self.names:
            if name not in columns:
                raise file.error("the column is missing", column=name, hint=choices(name, columns))

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
            "categories": torch.zeros(len(self.categories), dtype=torch.int64),
        }

    def summary(self) -> str:
        kinds = ((len(self.numbers), "numeric"), (len(self.categories), "categorical"))
        held = " and ".join(f"{count} {kind}" for count, kind in kinds if count)
        return f"rows of {held} column{'' if len(self.names) == 1 else 's'}"

    @classmethod
    def equals(cls, inputs: Inputs) -> list[tuple[Hashable, ...]]:
        """The cells."""
        return [tuple(inputs[place].values()) for place in range(len(inputs))]

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
            tuple(_stored_numbers(**one) for one in stored["numbers"]),
            tuple(_stored_categories(**one) for one in stored["categories"]),
        )
        if len(set(found.names)) != len(found.names) or not found.names:
            raise ValueError("preprocessing: columns are missing, or named twice")
        return found

    def remarks(self, parts: Mapping[str, Inputs]) -> tuple[str, ...]:
        """Cells that say nothing: categories without an id, missing numbers where train lacks none, constants."""
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
            _check_first(self.names, inputs)
            known = [column for column in self.categories if column.values]
            lines += [line for column in known for line in _without_id(column, split, inputs)]
            lines += [line for column in self.numbers for line in _filled(column, split, inputs)]
        return tuple(lines)


class RowTransform(Transform):
    """A row to {"vectors": float32 (d,), "categories": int64 (m,)}; indicators of missing numbers come after all."""

    def __init__(self, preprocessing: TablePreprocessing) -> None:
        self.numbers, self.categories = preprocessing.numbers, preprocessing.categories
        self.ids = [column.known | {None: ABSENT} for column in self.categories]

    def then(self, first: Row) -> Fields:
        """Raises: UserError for a column that is not there, and for a cell that should be a number and is none."""
        cells = [cell_of(first, column.name, as_number) for column in self.numbers]
        scaled = [
            ((column.filler if cell is None else cell) - column.mean) / column.std
            for column, cell in zip(self.numbers, cells, strict=True)
        ]
        absent = [float(cell is None) for column, cell in zip(self.numbers, cells, strict=True) if column.indicator]
        ids = [
            known.get(cell_of(first, column.name, as_category), OTHER)
            for column, known in zip(self.categories, self.ids, strict=True)
        ]
        return {
            "vectors": torch.from_numpy(np.array([*scaled, *absent], dtype=np.float32)),
            "categories": torch.tensor(ids, dtype=torch.int64),
        }


def fit(inputs: Inputs, columns: Columns) -> TablePreprocessing:
    """The preprocessing of training rows. Raises: UserError for a cell that should be a number and is none."""
    rows = [inputs[place] for place in range(len(inputs))]
    numbers = [_number_column(name, [cell_of(row, name, as_number) for row in rows]) for name in columns.numbers]
    return TablePreprocessing(
        tuple(numbers), tuple(_category_column(name, rows, columns.rare) for name in columns.categories)
    )


def _number_column(name: str, cells: Sequence[float | None]) -> NumberColumn:
    there = np.array([cell for cell in cells if cell is not None], dtype=np.float64)
    if not len(there):
        return NumberColumn(name, 0.0, 1.0, 0.0, True)
    mean, std = float(there.mean()), float(there.std())
    if there.min() == there.max():  # the mean of equal numbers is off by rounding
        mean, std = float(there[0]), 1.0
    return NumberColumn(name, mean, std, float(median(there)), len(there) < len(cells))


def _category_column(name: str, rows: Sequence[Row], rare: int) -> CategoryColumn:
    counts = Counter(cell_of(row, name, as_category) for row in rows)
    return CategoryColumn(name, tuple(sorted(v for v, count in counts.items() if v is not None and count >= rare)))


def _short(cell: Any) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _check_first(names: Iterable[str], inputs: Inputs) -> None:
    for name in names:
        cell_of(inputs[0], name, lambda cell: cell)


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


def _stored_numbers(name: str, mean: float, std: float, filler: float, indicator: bool) -> NumberColumn:
    good = all(type(x) in (int, float) and math.isfinite(x) for x in (mean, std, filler)) and std > 0
    if not isinstance(name, str) or not good or not isinstance(indicator, bool):
        raise ValueError(f"preprocessing: column {name!r} has the mean {mean!r}, deviation {std!r}, filler {filler!r}")
    return NumberColumn(name, float(mean), float(std), float(filler), indicator)


def _stored_categories(name: str, values: Sequence[str]) -> CategoryColumn:
    texts = isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
    if not isinstance(name, str) or not texts or len(set(values)) != len(values):
        raise ValueError(f"preprocessing: the categories of column {name!r} are not texts, each once")
    return CategoryColumn(name, tuple(values))
