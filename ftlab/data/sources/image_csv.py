"""Images with labels or numbers listed in a CSV file.

Shapes: n rows, k labels or numbers.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.sources.split_names import SPLITS, split_of
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile, Record
from ftlab.files.folders import existing_folder
from ftlab.files.paths import printable
from ftlab.inputs.images.files import ImageFiles
from ftlab.problems import Fault
from ftlab.targets.cells.base import Cells, Raw
from ftlab.targets.cells.classes import ClassCells, LabelCells
from ftlab.targets.cells.numbers import NumberCells


@dataclass(frozen=True)
class _Row:
    line: int  # in the file, the header is 1
    path: Path
    target: Any  # as targets.cells reads it
    split: str


class ImageCsv(Source):
    """One row an image; the first row names the columns. Paths are relative to `root`, so is `file`.

    With `target_columns` the targets are numbers and `label_column` is not read. `missing`: what a row without one of
    its targets is, an error, or left out and counted (drop).
    Raises (read): UserError, naming file, row and column.
    """

    def __init__(
        self,
        root: str,
        file: str,
        path_column: str,
        label_column: str,
        split_column: str | None,
        label_separator: str,
        multilabel: bool,
        split: Sequence[float],
        target_columns: Sequence[str] | None = None,
        missing: Literal["error", "drop"] = "error",
    ) -> None:
        self.root = root
        self.file = CsvFile(file, Path(root))
        self.path_column = path_column
        self.split_column = split_column
        self.split = split
        if target_columns and multilabel:
            raise UserError("data.multilabel=true and data.target_columns: targets are labels or numbers; set one.")
        self.cells: Cells
        if target_columns:
            self.cells = NumberCells(self.file, target_columns, missing)
        elif multilabel:
            self.cells = LabelCells(self.file, label_column, label_separator, "images")
        else:
            self.cells = ClassCells(self.file, label_column, missing)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        found = self.file.rows(self._check_columns, lambda line, record: self._row(root, line, record))
        rows = [row for row in found if isinstance(row, _Row)]
        missing = self._missing([row for row in rows if not self.cells.lacks(row.target)])
        faults = [*(row for row in found if isinstance(row, Fault)), *missing]
        rows = [row for row in rows if self.file.row(row.line) not in {fault.name for fault in missing}]
        if not rows and faults:
            raise UserError(faults[0].reason)
        if not any(row.split == "train" for row in rows):
            raise self.file.error("no row is of the train split", column=self.split_column)
        read = self.cells.read([Raw(row.line, row.split, row.target) for row in rows])
        kept = [rows[place] for place in read.kept]
        places = {split: [place for place, row in enumerate(kept) if row.split == split] for split in SPLITS}
        self.cells.check(read, [row.line for row in kept], places["train"])
        parts = {split: _samples(kept, read.column, these) for split, these in places.items()}
        if parts["train"] is None:  # all of them cannot be used
            raise UserError(read.faults[0].reason)
        train, val, test, said = complete(read.target, parts["train"], parts["val"], parts["test"], self.split, seed)
        warnings = (*read.warnings, *_twice(kept), *said)
        faults = sorted([*faults, *read.faults], key=lambda fault: int(fault.name.rpartition(" ")[2]))  # by row
        return Splits(train, val, test, read.target, warnings, read.problems, tuple(faults))

    def _check_columns(self, columns: Sequence[str]) -> None:
        for key, column in (("path_column", self.path_column), ("split_column", self.split_column)):
            if column is not None and column not in columns:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, columns))
        self.cells.check_columns(columns)

    def _row(self, root: Path, line: int, record: Record) -> _Row | Fault:
        path = (record[self.path_column] or "").strip()
        if not path:
            return self.file.fault("rows lack a path", "the path is blank", line, self.path_column)
        target = self.cells.of_row(line, record)
        split = split_of(self.file, line, record.get(self.split_column or ""), self.split_column)
        fault = next((found for found in (target, split) if isinstance(found, Fault)), None)
        return fault or _Row(line, root / path, target, str(split))

    def _missing(self, rows: list[_Row]) -> list[Fault]:
        missing = [row for row in rows if not os.path.isfile(row.path)]
        count = f"({len(missing)} of {len(rows)} files are missing)"
        kind = "rows name a file that is not there"
        return [
            self.file.fault(kind, f"{printable(row.path)} is not there {count}", row.line, self.path_column)
            for row in missing
        ]


def _twice(rows: list[_Row]) -> tuple[str, ...]:
    """The warning about images that are listed twice, which can be in two splits."""
    twice = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
    return (f"{len(twice)} images are listed more than once, for example {printable(twice[0])}",) if twice else ()


def _samples(rows: list[_Row], targets: Tensor, places: list[int]) -> Samples | None:
    """The rows at `places` with their targets (n, ...), None where there are none."""
    paths = [rows[place].path for place in places]
    return Samples(ImageFiles(paths), targets[places], [printable(path) for path in paths]) if places else None
