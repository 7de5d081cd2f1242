"""Images and labels listed in a CSV file."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.checks.labels import like_missing, numeric, odd_label
from ftlab.data.folders import existing_folder
from ftlab.data.image_folder import SPLIT_FOLDERS
from ftlab.data.images import ImageFiles, printable
from ftlab.data.problems import Fault
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices


@dataclass(frozen=True)
class _Row:
    line: int  # in the file, the header is 1
    path: Path
    labels: tuple[str, ...]
    split: str


class ImageCsv(Source):
    """One row an image; the first row names the columns. Paths are relative to `root`, so is `file`.

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
    ) -> None:
        self.root = root
        self.file = file
        self.path_column = path_column
        self.label_column = label_column
        self.split_column = split_column
        self.label_separator = label_separator
        self.multilabel = multilabel
        self.split = split

    def read(self, seed: int) -> Splits:
        splits = self.survey(seed)
        if splits.faults:
            raise UserError(splits.faults[0].reason)
        return splits

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        rows, faults = self._rows(root, root / self.file)
        classes = tuple(sorted({label for row in rows if row.split == "train" for label in row.labels}))
        if not classes and faults:
            raise UserError(faults[0].reason)
        if not classes:
            raise self._error("no row of the train split has a label", column=self.label_column)
        strange = {row.line: label for row in rows for label in row.labels if label not in classes}
        faults += [self._unknown(row, strange[row.line], classes) for row in rows if row.line in strange]
        rows = [row for row in rows if row.line not in strange]
        samples = {split: self._samples([row for row in rows if row.split == split], classes) for split in SPLITS}
        train = samples["train"]
        if train is None:
            raise self._error("no row is of the train split", column=self.split_column)
        first, val, test, said = complete(train, samples["val"], samples["test"], self.split, seed)
        problems = like_missing([label for row in rows for label in row.labels])
        return Splits(first, val, test, classes, (*self._warnings(rows), *said), tuple(problems), tuple(faults))

    def _unknown(self, row: _Row, label: str, classes: tuple[str, ...]) -> Fault:
        what = f"label '{label}' of split {row.split} is not in train"
        error = self._error(what, row.line, self.label_column, choices(label, classes))
        return self._fault(row.line, "rows have a label that train has not", error)

    def _fault(self, line: int, kind: str, error: UserError) -> Fault:
        return Fault(f"{printable(self.file)}, row {line}", kind, str(error))

    def _error(self, what: str, line: int | None = None, column: str | None = None, hint: str = "") -> UserError:
        place = f"{printable(self.file)}" + (f", row {line}" if line else "") + (f", column {column}" if column else "")
        return UserError(f"{place}: {what}. {hint}".rstrip())

    def _rows(self, root: Path, file: Path) -> tuple[list[_Row], list[Fault]]:
        """The rows that can be used, and what is wrong with the others."""
        if not file.is_file():
            near = choices(file.name, [entry.name for entry in root.glob("*.csv")])
            raise UserError(f"data.file={printable(self.file)} is not a file in {printable(root)}: {near}")
        try:
            with open(file, newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream)
                self._check_columns(reader.fieldnames or [])
                found = [self._row(root, reader.line_num, record) for record in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._error(f"not a CSV file in UTF-8 ({error})") from error
        rows = [row for row in found if isinstance(row, _Row)]
        faults = [row for row in found if isinstance(row, Fault)]
        faults += self._odd_labels(rows) + self._missing(rows)
        bad = {fault.name for fault in faults}
        return [row for row in rows if f"{printable(self.file)}, row {row.line}" not in bad], faults

    def _check_columns(self, columns: Sequence[str]) -> None:
        wanted = {"path_column": self.path_column, "label_column": self.label_column, "split_column": self.split_column}
        for key, column in wanted.items():
            if column is not None and column not in columns:
                raise self._error(f"data.{key}={column} is no column", hint=choices(column, columns))

    def _row(self, root: Path, line: int, record: dict[str, str | None]) -> _Row | Fault:
        path, text = (record[column] or "" for column in (self.path_column, self.label_column))
        if not path.strip():
            return self._fault(line, "rows lack a path", self._error("the path is blank", line, self.path_column))
        parts = text.split(self.label_separator) if self.multilabel else [text]
        labels = tuple(part.strip() for part in parts if part.strip())
        if not labels and not self.multilabel:
            return self._fault(line, "rows lack a label", self._error("the label is blank", line, self.label_column))
        split = (record[self.split_column] or "").strip() if self.split_column else "train"
        if split.lower() not in SPLIT_FOLDERS:
            hint = choices(split, SPLIT_FOLDERS)
            error = self._error(f"split '{split}' is unknown", line, self.split_column, hint)
            return self._fault(line, "rows have an unknown split", error)
        return _Row(line, root / path.strip(), labels, SPLIT_FOLDERS[split.lower()])

    def _odd_labels(self, rows: list[_Row]) -> list[Fault]:
        numbers = numeric([label for row in rows for label in row.labels])
        found = []
        for row in rows:
            reasons = [reason for label in row.labels if (reason := odd_label(label, numbers))]
            if reasons:
                error = self._error(reasons[0], row.line, self.label_column)
                found.append(self._fault(row.line, "rows have a label that is none", error))
        return found

    def _missing(self, rows: list[_Row]) -> list[Fault]:
        missing = [row for row in rows if not os.path.isfile(row.path)]
        count = f"({len(missing)} of {len(rows)} files are missing)"
        errors = {row.line: f"{printable(row.path)} is not there {count}" for row in missing}
        return [
            self._fault(line, "rows name a file that is not there", self._error(what, line, self.path_column))
            for line, what in errors.items()
        ]

    def _samples(self, rows: list[_Row], classes: tuple[str, ...]) -> Samples | None:
        if not rows:
            return None
        place = {label: index for index, label in enumerate(classes)}
        targets: Tensor = torch.tensor([place[row.labels[0]] for row in rows] if not self.multilabel else [])
        if self.multilabel:
            targets = torch.zeros(len(rows), len(classes))
            for index, row in enumerate(rows):
                targets[index, [place[label] for label in row.labels]] = 1
        return Samples(ImageFiles([row.path for row in rows]), targets, [printable(row.path) for row in rows])

    def _warnings(self, rows: list[_Row]) -> tuple[str, ...]:
        """Rows without a label are meant in multilabel data, an image listed twice can be in two splits."""
        blank = sum(not row.labels for row in rows)
        twice = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
        warnings: tuple[str, ...] = (f"{blank} of {len(rows)} images have no label",) if blank else ()
        if twice:
            warnings += (f"{len(twice)} images are listed more than once, for example {printable(twice[0])}",)
        return warnings


SPLITS = ("train", "val", "test")
