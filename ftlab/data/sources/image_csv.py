"""Images with labels or numbers listed in a CSV file.

Shapes: n rows, k labels or numbers.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ftlab.data.base import Source, Splits
from ftlab.data.sources.listed import Sharing, blaming, dealt, group_of
from ftlab.data.sources.split_names import split_of
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import dialect
from ftlab.files.folders import existing_folder
from ftlab.files.paths import printable
from ftlab.files.text_table import Record
from ftlab.inputs.images.files import ImageFiles
from ftlab.problems import Fault, counted
from ftlab.targets.cells.choice import cells_of


@dataclass(frozen=True)
class _Row:
    line: int  # in the file, the header is 1
    path: Path
    target: Any  # as targets.cells reads it
    split: str
    group: str


class ImageCsv(Source):
    """One row an image; the first row names the columns. Paths are relative to `root`; `file` too, or else to the
    working folder.

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
        group_column: str | None = None,
        missing_labels: Sequence[str] | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
    ) -> None:
        self.root = root
        folder = _folder_of(file, Path(root).expanduser())
        self.file = CsvFile(file, folder, dialect=dialect(delimiter, decimal, encoding))
        self.path_column = path_column
        self.sharing = Sharing(split_column, group_column, split)
        self.cells = cells_of(
            self.file, "images", label_column, target_columns, multilabel, label_separator, missing, missing_labels
        )

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        table = self.file.read()
        self._check_columns(table.columns)
        found = [record if isinstance(record, Fault) else self._row(root, line, record) for line, record in table.rows]
        rows = [row for row in found if isinstance(row, _Row)]
        missing = self._missing([row for row in rows if not self.cells.lacks(row.target)])
        faults = [*(row for row in found if isinstance(row, Fault)), *missing]
        rows = [row for row in rows if self.file.row(row.line) not in {fault.name for fault in missing}]
        if not rows and faults:
            raise UserError(faults[0].reason)
        sharing = replace(self.sharing, learned=self.learned)
        with blaming(faults):
            whole, kept = dealt(self.file, self.cells, rows, _files, sharing, seed)
        bad = sorted([*faults, *whole.faults], key=lambda fault: int(fault.name.rpartition(" ")[2]))  # by row
        said, problems = (*whole.warnings, *_twice(kept)), (*table.problems, *whole.problems)
        return replace(whole, warnings=said, problems=problems, faults=tuple(bad))

    def _check_columns(self, columns: Sequence[str]) -> None:
        split, group = self.sharing.split_column, self.sharing.group_column
        for key, column in (("path_column", self.path_column), ("split_column", split), ("group_column", group)):
            if column is not None and column not in columns:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, columns))
        self.cells.check_columns(columns)

    def _row(self, root: Path, line: int, record: Record) -> _Row | Fault:
        path = record[self.path_column].strip()
        if not path:
            return self.file.fault("rows lack a path", "the path is blank", line, self.path_column)
        target = self.cells.of_row(line, record)
        columns = self.sharing.split_column, self.sharing.group_column
        split = split_of(self.file, line, record.get(columns[0] or ""), columns[0])
        group = group_of(self.file, line, record.get(columns[1] or ""), columns[1])
        fault = next((found for found in (target, split, group) if isinstance(found, Fault)), None)
        return fault or _Row(line, root / path, target, str(split), str(group))

    def _missing(self, rows: list[_Row]) -> list[Fault]:
        missing = [row for row in rows if not os.path.isfile(row.path)]
        count = f"({len(missing)} of {len(rows)} files are missing)"
        kind = "rows name a file that is not there"
        return [
            self.file.fault(kind, f"{printable(row.path)} is not there {count}", row.line, self.path_column)
            for row in missing
        ]


def _folder_of(file: str, root: Path) -> Path:
    """What `file` is relative to: the root, or the working folder where it lies there alone."""
    return Path() if not (root / file).is_file() and Path(file).is_file() else root


def _twice(rows: list[_Row]) -> tuple[str, ...]:
    """The warning about images that are listed twice, which can be in two splits."""
    twice = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
    said = counted(len(twice), "images are listed more than once")
    return (f"{len(twice)} {said}, for example {printable(twice[0])}",) if twice else ()


def _files(rows: list[_Row]) -> tuple[ImageFiles, list[str]]:
    paths = [row.path for row in rows]
    return ImageFiles(paths), [printable(path) for path in paths]
