"""Images with labels or numbers listed in a CSV file.

Shapes: n rows, k labels or numbers.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.checks.labels import like_missing, numeric, odd_label
from ftlab.data.groups import numbered
from ftlab.data.sources.column_types import is_missing
from ftlab.data.sources.image_folder import SPLIT_FOLDERS
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile, Record
from ftlab.files.folders import existing_folder
from ftlab.files.paths import printable
from ftlab.inputs.images.files import ImageFiles
from ftlab.problems import Fault
from ftlab.targets.columns import Numbers, TargetColumns

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class _Row:
    line: int  # in the file, the header is 1
    path: Path
    labels: tuple[str, ...]
    numbers: Numbers  # one a target column
    split: str
    group: str


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
        group_column: str | None = None,
    ) -> None:
        self.root = root
        self.file = CsvFile(file, Path(root))
        self.path_column = path_column
        self.label_column = label_column
        self.split_column = split_column
        self.label_separator = label_separator
        self.multilabel = multilabel
        self.split = split
        self.group_column = group_column
        self.targets = TargetColumns(self.file, tuple(target_columns or ()), missing)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        found = self.file.rows(self._check_columns, lambda line, record: self._row(root, line, record))
        rows = [row for row in found if isinstance(row, _Row)]
        faults = [row for row in found if isinstance(row, Fault)]
        return self._numbers(rows, faults, seed) if self.targets.names else self._classes(rows, faults, seed)

    def _classes(self, rows: list[_Row], faults: list[Fault], seed: int) -> Splits:
        rows, faults = self._without(rows, faults, self._odd_labels(rows) + self._missing(rows))
        classes = tuple(sorted({label for row in rows if row.split == "train" for label in row.labels}))
        if not classes and faults:
            raise UserError(faults[0].reason)
        if not classes:
            raise self.file.error("no row of the train split has a label", column=self.label_column)
        strange = {row.line: label for row in rows for label in row.labels if label not in classes}
        unknown = [self._unknown(row, strange[row.line], classes) for row in rows if row.line in strange]
        rows, faults = self._without(rows, faults, unknown)
        targets = _multilabel_targets(rows, classes) if self.multilabel else _class_targets(rows, classes)
        train, val, test, said = self._splits(rows, targets, seed)
        problems = like_missing([label for row in rows for label in row.labels])
        return Splits(train, val, test, classes, (*self._warnings(rows), *said), tuple(problems), tuple(faults))

    def _numbers(self, rows: list[_Row], faults: list[Fault], seed: int) -> Splits:
        whole = [row for row in rows if None not in row.numbers]
        kept, faults = self._without(whole, faults, self._missing(whole))
        if not kept and faults:
            raise UserError(faults[0].reason)
        targets = torch.tensor([row.numbers for row in kept], dtype=torch.float64)
        train_rows = [place for place, row in enumerate(kept) if row.split == "train"]
        self.targets.check([row.line for row in kept], train_rows, targets)
        train, val, test, _ = self._splits(kept, targets.float(), seed)  # at random, as is meant with numbers
        said = (*self.targets.dropped([row.numbers for row in rows]), *self._warnings(kept))
        return Splits(train, val, test, (), said, (), tuple(faults), self.targets.names)

    def _splits(
        self, rows: list[_Row], targets: Tensor, seed: int
    ) -> tuple[Samples, Samples | None, Samples | None, tuple[str, ...]]:
        groups = numbered([row.group for row in rows]) if self.group_column else None
        samples = {split: _samples(rows, targets, groups, split) for split in SPLITS}
        if samples["train"] is None:
            raise self.file.error("no row is of the train split", column=self.split_column)
        return complete(samples["train"], samples["val"], samples["test"], self.split, seed)

    def _check_columns(self, columns: Sequence[str]) -> None:
        labels = [] if self.targets.names else [("label_column", self.label_column)]
        targets = [("target_columns", column) for column in self.targets.names]
        own = [("split_column", self.split_column), ("group_column", self.group_column)]
        for key, column in [("path_column", self.path_column), *labels, *targets, *own]:
            if column is not None and column not in columns:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, columns))
        self.targets.check_names()
        if self.targets.names and self.multilabel:
            raise UserError("data.multilabel=true and data.target_columns: targets are labels or numbers; set one.")

    def _row(self, root: Path, line: int, record: Record) -> _Row | Fault:
        path = (record[self.path_column] or "").strip()
        if not path:
            return self.file.fault("rows lack a path", "the path is blank", line, self.path_column)
        numbers = self.targets.of(line, record)
        if isinstance(numbers, Fault):
            return numbers
        labels = () if self.targets.names else self._labels(record[self.label_column] or "")
        if not labels and not self.multilabel and not self.targets.names:
            return self.file.fault("rows lack a label", "the label is blank", line, self.label_column)
        split = (record[self.split_column] or "").strip() if self.split_column else "train"
        if split.lower() not in SPLIT_FOLDERS:
            what, hint = f"split '{split}' is unknown", choices(split, SPLIT_FOLDERS)
            return self.file.fault("rows have an unknown split", what, line, self.split_column, hint)
        group = (record[self.group_column] or "").strip() if self.group_column else ""
        if self.group_column and is_missing(group):
            return self.file.fault("rows lack a group", "the group is missing", line, self.group_column)
        return _Row(line, root / path, labels, numbers, SPLIT_FOLDERS[split.lower()], group)

    def _labels(self, text: str) -> tuple[str, ...]:
        parts = text.split(self.label_separator) if self.multilabel else [text]
        return tuple(part.strip() for part in parts if part.strip())

    def _without(self, rows: list[_Row], faults: list[Fault], more: list[Fault]) -> tuple[list[_Row], list[Fault]]:
        """The rows that `more` does not name, and all faults."""
        bad = {fault.name for fault in more}
        return [row for row in rows if self.file.row(row.line) not in bad], faults + more

    def _unknown(self, row: _Row, label: str, classes: tuple[str, ...]) -> Fault:
        what = f"label '{label}' of split {row.split} is not in train"
        kind = "rows have a label that train has not"
        return self.file.fault(kind, what, row.line, self.label_column, choices(label, classes))

    def _odd_labels(self, rows: list[_Row]) -> list[Fault]:
        numbers = numeric([label for row in rows for label in row.labels])
        odd = {row.line: [odd_label(label, numbers) for label in row.labels] for row in rows}
        reasons = {line: next(filter(None, found), None) for line, found in odd.items()}
        kind = "rows have a label that is none"
        return [self.file.fault(kind, why, line, self.label_column) for line, why in reasons.items() if why]

    def _missing(self, rows: list[_Row]) -> list[Fault]:
        missing = [row for row in rows if not os.path.isfile(row.path)]
        count = f"({len(missing)} of {len(rows)} files are missing)"
        kind = "rows name a file that is not there"
        return [
            self.file.fault(kind, f"{printable(row.path)} is not there {count}", row.line, self.path_column)
            for row in missing
        ]

    def _warnings(self, rows: list[_Row]) -> tuple[str, ...]:
        """Rows without a label are meant in multilabel data, an image listed twice can be in two splits."""
        blank = 0 if self.targets.names else sum(not row.labels for row in rows)
        twice = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
        warnings: tuple[str, ...] = (f"{blank} of {len(rows)} images have no label",) if blank else ()
        if twice:
            warnings += (f"{len(twice)} images are listed more than once, for example {printable(twice[0])}",)
        return warnings


def _class_targets(rows: list[_Row], classes: tuple[str, ...]) -> Tensor:
    """(n,)"""
    place = {label: index for index, label in enumerate(classes)}
    return torch.tensor([place[row.labels[0]] for row in rows])


def _multilabel_targets(rows: list[_Row], classes: tuple[str, ...]) -> Tensor:
    """(n, k)"""
    place = {label: index for index, label in enumerate(classes)}
    targets = torch.zeros(len(rows), len(classes))
    for index, row in enumerate(rows):
        targets[index, [place[label] for label in row.labels]] = 1
    return targets


def _samples(rows: list[_Row], targets: Tensor, groups: Tensor | None, split: str) -> Samples | None:
    """The rows of a split with their targets (n, ...), None where it has none."""
    places = [place for place, row in enumerate(rows) if row.split == split]
    paths = [rows[place].path for place in places]
    own = None if groups is None else groups[places]
    return Samples(ImageFiles(paths), targets[places], [printable(path) for path in paths], own) if places else None
