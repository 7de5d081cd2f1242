"""Cells that hold a class, or labels.

Shapes: n rows, k classes.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile, Record
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.cells.base import Cells, Raw, Read
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels

NUMBERS = 0.9  # the share of whole numbers from which a column of labels is one of numbers
WHOLE = re.compile(r"\d+")
MISSING = frozenset(("nan", "null", "nat", "<na>", "#n/a"))  # how spreadsheets and pandas write "no value"
ODD = frozenset(("none", "na", "n/a", "unknown", "-", "?"))  # may be a class, may be a missing value
Order = Callable[[str], Any]  # a key to sort classes by


class _Named(Cells):
    """What classes and labels have in common: names that train decides."""

    key = "label_column"

    def __init__(
        self,
        file: CsvFile,
        column: str,
        missing: str,
        plural: str = "rows",
        blank: frozenset[str] = frozenset(("",)),
        order: Order = str,
    ) -> None:
        """blank: what, in small letters, a cell without a label holds."""
        super().__init__(file, missing, plural)
        self.columns = (column,)
        self.blank, self.order = blank, order

    def named_by(self, rows: Sequence[tuple[Raw, tuple[str, ...]]]) -> tuple[tuple[str, ...], dict[int, Fault]]:
        """The names that train has, and the faults of rows, by place, with names that are none or that it has not."""
        whole = numeric([name for _, names in rows for name in names])
        faults: dict[int, Fault] = {}
        for place, (row, names) in enumerate(rows):
            if why := next(filter(None, (odd_label(name, whole) for name in names)), None):
                faults[place] = self._fault("have a label that is none", why, row)
        good = [(row, names) for place, (row, names) in enumerate(rows) if place not in faults]
        there = {name for row, names in good if row.split == "train" for name in names}
        known = tuple(sorted(there, key=self.order))
        for place, (row, names) in enumerate(rows):
            new = [name for name in names if name not in there]
            if place not in faults and new:
                what = f"label '{new[0]}' of split {row.split} is not in train"
                near = choices(new[0], known) if known else ""
                faults[place] = self._fault("have a label that train has not", what, row, near)
        return known, faults

    def _fault(self, kind: str, what: str, row: Raw, hint: str = "") -> Fault:
        return self.file.fault(f"{self.plural} {kind}", what, row.line, self.columns[0], hint)


class ClassCells(_Named):
    """One column, with one class."""

    def value(self, line: int, record: Record) -> str:
        """ "" where it is missing."""
        label = (record[self.columns[0]] or "").strip()
        return "" if label.lower() in self.blank else label

    def lacks(self, value: str) -> bool:
        return not value

    def lacking(self, line: int, value: str) -> Fault:
        hint = f"data.missing=drop leaves such {self.plural} out and counts them."
        return self.file.fault(f"{self.plural} lack a label", "the label is missing", line, self.columns[0], hint)

    def read(self, rows: Sequence[Raw]) -> Read:
        there = [place for place, row in enumerate(rows) if row.value]
        lost = [row for row in rows if not row.value]
        lacking = [self.lacking(row.line, row.value) for row in lost]
        said: tuple[str, ...] = ()
        if lost and self.missing != "error":
            said = (f"{len(lost)} of {len(rows)} {self.plural} are left out, since the label is missing",)
        classes, faults = self.named_by([(rows[place], (rows[place].value,)) for place in there])
        errors = [*(lacking if self.missing == "error" else []), *faults.values()]
        if not classes:
            raise self._too_few(classes, errors)
        kept = [place for at, place in enumerate(there) if at not in faults]
        values = [rows[place].value for place in kept]
        number = {name: place for place, name in enumerate(classes)}
        column = torch.tensor([number[value] for value in values])
        return Read(Classes(classes), column, kept, values, errors, said, tuple(like_missing(values)))

    def _too_few(self, classes: Sequence[str], faults: Sequence[Fault]) -> UserError:
        if faults and not classes:
            return UserError(faults[0].reason)
        shown = f"'{classes[0]}' in all {self.plural}" if classes else f"missing in all {self.plural}"
        what = f"the label of the train split is {shown}"
        return self.file.error(what, column=self.columns[0], hint="There is nothing to tell apart.")

    def check(self, read: Read, lines: Sequence[int], train: Sequence[int]) -> None:
        """One class is none to learn; and where the split is made after the labels are read, train may lack one."""
        if len(read.target.classes) < 2:
            raise self._too_few(read.target.classes, read.faults)
        there = {read.values[place] for place in train}
        absent = [name for name in read.target.classes if name not in there]
        if absent:
            hint = "Change data.split or the column of the split."
            raise self.file.error(f"the label '{absent[0]}' is not in train", column=self.columns[0], hint=hint)


class LabelCells(_Named):
    """One column, with any number of labels between separators; a blank cell has none."""

    def __init__(self, file: CsvFile, column: str, separator: str, plural: str = "rows") -> None:
        super().__init__(file, column, "drop", plural)
        self.separator = separator

    def value(self, line: int, record: Record) -> tuple[str, ...]:
        parts = (record[self.columns[0]] or "").split(self.separator)
        return tuple(part.strip() for part in parts if part.strip())

    def read(self, rows: Sequence[Raw]) -> Read:
        labels, faults = self.named_by([(row, row.value) for row in rows])
        if not labels:
            raise (
                UserError(next(iter(faults.values())).reason)
                if faults
                else self.file.error("no row of the train split has a label", column=self.columns[0])
            )
        kept = [place for place in range(len(rows)) if place not in faults]
        values = [rows[place].value for place in kept]
        number = {name: place for place, name in enumerate(labels)}
        column = torch.zeros(len(kept), len(labels))
        for at, names in enumerate(values):
            column[at, [number[name] for name in names]] = 1
        blank = sum(not names for names in values)
        said = (f"{blank} of {len(kept)} {self.plural} have no label",) if blank else ()
        odd = tuple(like_missing([name for names in values for name in names]))
        return Read(Labels(labels), column, kept, values, list(faults.values()), said, odd)


def odd_label(label: str, numeric: bool) -> str | None:
    """Why a label of a text file cannot be meant; None where it can. `numeric`: the column holds whole numbers."""
    if label.lower() in MISSING:
        return f"the label '{label}' stands for a missing value"
    if numeric and not WHOLE.fullmatch(label):
        return f"the label '{label}' is in a column of whole numbers from 0"
    return None


def numeric(labels: Sequence[str]) -> bool:
    """Whether a column is meant to hold whole numbers: nearly all of its labels are."""
    given = [label for label in labels if label.lower() not in MISSING]
    return bool(given) and sum(WHOLE.fullmatch(label) is not None for label in given) >= NUMBERS * len(given)


def like_missing(labels: Sequence[str]) -> list[Problem]:
    """Classes whose name may stand for "no value"."""
    counts = Counter(label for label in labels if label.lower() in ODD)
    names = [f"'{label}' ({count} samples)" for label, count in counts.items()]
    return problem("classes are called like a missing value", "warning", names, "remove these rows if they are none")
