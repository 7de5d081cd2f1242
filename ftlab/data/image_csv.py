"""Images with labels or numbers listed in a CSV file.

Shapes: n rows, k labels or numbers.
"""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.folders import existing_folder
from ftlab.data.image_folder import SPLIT_FOLDERS
from ftlab.data.images import ImageFiles, printable
from ftlab.data.numbers import number
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices


@dataclass(frozen=True)
class _Row:
    line: int  # in the file, the header is 1
    path: Path
    labels: tuple[str, ...]
    numbers: tuple[float | None, ...]  # one a target column, None where it is missing
    split: str


class ImageCsv(Source):
    """One row an image; the first row names the columns. Paths are relative to `root`, so is `file`.

    With `target_columns` the targets are numbers and `label_column` is not read. `missing`: what a row without one of
    its numbers is, an error, or left out and counted (drop).
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
        self.file = file
        self.path_column = path_column
        self.label_column = label_column
        self.split_column = split_column
        self.label_separator = label_separator
        self.multilabel = multilabel
        self.split = split
        self.target_columns = tuple(target_columns or ())
        self.missing = missing

    def read(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        rows = self._rows(root, root / self.file)
        return self._numbers(rows, seed) if self.target_columns else self._classes(rows, seed)

    def _classes(self, rows: list[_Row], seed: int) -> Splits:
        classes = tuple(sorted({label for row in rows if row.split == "train" for label in row.labels}))
        if not classes:
            raise self._error("no row of the train split has a label", column=self.label_column)
        for row in rows:
            for label in row.labels:
                if label not in classes:
                    what = f"label '{label}' of split {row.split} is not in train"
                    raise self._error(what, row.line, self.label_column, choices(label, classes))
        targets = self._multilabel_targets(rows, classes) if self.multilabel else self._class_targets(rows, classes)
        train, val, test, said = self._splits(rows, targets, seed)
        return Splits(train, val, test, classes, (*self._warnings(rows), *said))

    def _numbers(self, rows: list[_Row], seed: int) -> Splits:
        kept = [row for row in rows if None not in row.numbers]
        if not kept:
            raise self._error("no row has all of its targets", column=", ".join(self.target_columns))
        for place, column in enumerate(self.target_columns):
            self._check_varied([(row.line, row.numbers[place]) for row in kept if row.split == "train"], column)
        targets = torch.tensor([row.numbers for row in kept], dtype=torch.float64)
        self._check_precision(targets)
        train, val, test, _ = self._splits(kept, targets.float(), seed)  # at random, as is meant with numbers
        warnings = (*self._dropped(rows), *self._warnings(kept))
        return Splits(train, val, test, (), warnings, self.target_columns)

    def _splits(
        self, rows: list[_Row], targets: Tensor, seed: int
    ) -> tuple[Samples, Samples | None, Samples | None, tuple[str, ...]]:
        samples = {split: _samples(rows, targets, split) for split in SPLITS}
        if samples["train"] is None:
            raise self._error("no row is of the train split", column=self.split_column)
        return complete(samples["train"], samples["val"], samples["test"], self.split, seed)

    def _error(self, what: str, line: int | None = None, column: str | None = None, hint: str = "") -> UserError:
        place = f"{printable(self.file)}" + (f", row {line}" if line else "") + (f", column {column}" if column else "")
        return UserError(f"{place}: {what}. {hint}".rstrip())

    def _rows(self, root: Path, file: Path) -> list[_Row]:
        if not file.is_file():
            near = choices(file.name, [entry.name for entry in root.glob("*.csv")])
            raise UserError(f"data.file={printable(self.file)} is not a file in {printable(root)}: {near}")
        try:
            with open(file, newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream)
                self._check_columns(reader.fieldnames or [])
                rows = [self._row(root, reader.line_num, record) for record in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._error(f"not a CSV file in UTF-8 ({error})") from error
        self._check_paths([row for row in rows if None not in row.numbers])
        return rows

    def _check_columns(self, columns: Sequence[str]) -> None:
        labels = [] if self.target_columns else [("label_column", self.label_column)]
        targets = [("target_columns", column) for column in self.target_columns]
        for key, column in [("path_column", self.path_column), *labels, *targets, ("split_column", self.split_column)]:
            if column is not None and column not in columns:
                raise self._error(f"data.{key}={column} is no column", hint=choices(column, columns))
        twice = [column for column, count in Counter(self.target_columns).items() if count > 1]
        if twice:
            raise UserError(f"data.target_columns: {twice[0]} is named twice; name each column once.")
        if self.target_columns and self.multilabel:
            raise UserError("data.multilabel=true and data.target_columns: targets are labels or numbers; set one.")

    def _row(self, root: Path, line: int, record: dict[str, str | None]) -> _Row:
        path = record[self.path_column] or ""
        if not path.strip():
            raise self._error("the path is blank", line, self.path_column)
        numbers = tuple(self._number(line, column, record[column] or "") for column in self.target_columns)
        labels = () if self.target_columns else self._labels(line, record[self.label_column] or "")
        return _Row(line, root / path.strip(), labels, numbers, self._split(line, record))

    def _number(self, line: int, column: str, text: str) -> float | None:
        try:
            value = number(text)
        except ValueError as error:
            hint = "Accepted: a finite number with a decimal point, such as -3.5 or 1e-3."
            raise self._error(str(error), line, column, hint) from None
        if value is None and self.missing == "error":
            hint = "Accepted: a number; data.missing=drop leaves such rows out and counts them."
            raise self._error("the target is missing", line, column, hint)
        return value

    def _labels(self, line: int, text: str) -> tuple[str, ...]:
        parts = text.split(self.label_separator) if self.multilabel else [text]
        labels = tuple(part.strip() for part in parts if part.strip())
        if not labels and not self.multilabel:
            raise self._error("the label is blank", line, self.label_column)
        return labels

    def _split(self, line: int, record: dict[str, str | None]) -> str:
        if self.split_column is None:
            return "train"
        name = (record[self.split_column] or "").strip()
        if name.lower() not in SPLIT_FOLDERS:
            raise self._error(f"split '{name}' is unknown", line, self.split_column, choices(name, SPLIT_FOLDERS))
        return SPLIT_FOLDERS[name.lower()]

    def _check_paths(self, rows: list[_Row]) -> None:
        missing = [row for row in rows if not os.path.isfile(row.path)]
        if missing:
            what = f"{printable(missing[0].path)} is not there ({len(missing)} of {len(rows)} files are missing)"
            raise self._error(what, missing[0].line, self.path_column)

    def _check_varied(self, values: list[tuple[int, float | None]], column: str) -> None:
        """values: line and number of each row of the train split."""
        if len(values) > 1 and len({value for _, value in values}) == 1:
            first, last = values[0][0], values[-1][0]
            what = f"the target is {values[0][1]:g} in all {len(values)} rows of the train split (to row {last})"
            raise self._error(what, first, column, "There is nothing to learn: leave the column out.")

    def _check_precision(self, targets: Tensor) -> None:
        """Networks compute with 32 bits: what of (n, k) differs in the eighth digit only would be rounded away."""
        spread, largest = targets.std(dim=0, correction=0), targets.abs().amax(dim=0)
        for column, lost in zip(self.target_columns, (largest * 2**-24 > spread / 1000).tolist(), strict=True):
            if lost:
                what = "the numbers differ by less than 32 bits can tell apart"
                raise self._error(what, column=column, hint="Subtract what they have in common.")

    def _class_targets(self, rows: list[_Row], classes: tuple[str, ...]) -> Tensor:
        place = {label: index for index, label in enumerate(classes)}
        return torch.tensor([place[row.labels[0]] for row in rows])

    def _multilabel_targets(self, rows: list[_Row], classes: tuple[str, ...]) -> Tensor:
        place = {label: index for index, label in enumerate(classes)}
        targets = torch.zeros(len(rows), len(classes))
        for index, row in enumerate(rows):
            targets[index, [place[label] for label in row.labels]] = 1
        return targets

    def _dropped(self, rows: list[_Row]) -> tuple[str, ...]:
        lost = [row.numbers for row in rows if None in row.numbers]
        if not lost:
            return ()
        counts = [sum(row[place] is None for row in lost) for place in range(len(self.target_columns))]
        each = ", ".join(
            f"{column} in {count}" for column, count in zip(self.target_columns, counts, strict=True) if count
        )
        return (f"{len(lost)} of {len(rows)} rows are left out, since a target is missing: {each}",)

    def _warnings(self, rows: list[_Row]) -> tuple[str, ...]:
        """Rows without a label are meant in multilabel data, an image listed twice can be in two splits."""
        blank = 0 if self.target_columns else sum(not row.labels for row in rows)
        twice = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
        warnings: tuple[str, ...] = (f"{blank} of {len(rows)} images have no label",) if blank else ()
        if twice:
            warnings += (f"{len(twice)} images are listed more than once, for example {printable(twice[0])}",)
        return warnings


def _samples(rows: list[_Row], targets: Tensor, split: str) -> Samples | None:
    """The rows of a split with their targets (n, ...), None where it has none."""
    places = [place for place, row in enumerate(rows) if row.split == split]
    paths = [rows[place].path for place in places]
    return Samples(ImageFiles(paths), targets[places], [printable(path) for path in paths]) if places else None


SPLITS = ("train", "val", "test")
