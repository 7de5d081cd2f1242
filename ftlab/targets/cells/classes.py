"""Cells that hold a class, or labels.

Shapes: n rows, k classes.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import torch

from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile
from ftlab.files.jsonl_file import listed
from ftlab.files.paths import short
from ftlab.files.text_table import Record
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.cells.base import Cells, Raw, Read
from ftlab.targets.classes import Classes
from ftlab.targets.counted import FEWEST, NUMBER, in_order
from ftlab.targets.labels import Labels

NUMBERS = 0.9  # the share of whole numbers from which a column of labels is one of numbers
WHOLE = re.compile(r"-?\d+")
MISSING_LABELS = ("nan", "null", "nat", "<na>", "#n/a")  # how spreadsheets and pandas write "no value"
ODD = frozenset(("none", "na", "n/a", "unknown", "-", "?", *MISSING_LABELS))  # may be a class, may be a missing value
AS_CLASS = "data.missing_labels=[] takes it for a class."
NO_LABEL = frozenset(("-1", "-100"))  # may say so where all others count from 0


class _Named(Cells):
    """What classes and labels have in common: names that train decides."""

    key = "label_column"

    def __init__(
        self,
        file: CsvFile,
        column: str,
        missing: str,
        plural: str = "rows",
        missing_labels: Sequence[str] | None = None,
    ) -> None:
        """missing_labels: what a cell without a label may hold, besides nothing, whatever its case; None: the usual."""
        super().__init__(file, missing, plural)
        self.columns = (column,)
        named = MISSING_LABELS if missing_labels is None else missing_labels
        self.missing_labels = frozenset(label.lower() for label in named)

    def named_by(self, rows: Sequence[tuple[Raw, tuple[str, ...]]]) -> tuple[tuple[str, ...], dict[int, Fault]]:
        """The names that train has, and the faults of rows, by place, with names that are none or that it has not."""
        whole = numeric([name for _, names in rows for name in names])
        faults: dict[int, Fault] = {}
        for place, (row, names) in enumerate(rows):
            if why := next(filter(None, (odd_label(name, whole, self.missing_labels) for name in names)), None):
                faults[place] = self._fault("have a label that is none", why, row)
        good = [(row, names) for place, (row, names) in enumerate(rows) if place not in faults]
        there = {name for row, names in good if row.split == "train" for name in names}
        known = tuple(sorted(there, key=in_order))
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

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.said: dict[int, str] = {}  # what cells without a label hold, by line, where it is something

    def value(self, line: int, record: Record) -> str:
        """ "" where it is missing."""
        label = record[self.columns[0]].strip()
        if label.lower() not in self.missing_labels:
            return label
        self.said[line] = label
        return ""

    def lacks(self, value: str) -> bool:
        return not value

    def lacking(self, line: int, value: str) -> Fault:
        hint = f"data.missing=drop leaves such {self.plural} out and counts them."
        what = "the label is missing"
        if said := self.said.get(line):
            what, hint = f"the label is '{said}', which says that there is none", f"{hint} {AS_CLASS}"
        return self.file.fault(f"{self.plural} lack a label", what, line, self.columns[0], hint)

    def read(self, rows: Sequence[Raw]) -> Read:
        there = [place for place, row in enumerate(rows) if row.value]
        lost = [row for row in rows if not row.value]
        lacking = [self.lacking(row.line, row.value) for row in lost]
        said: tuple[str, ...] = ()
        if lost and self.missing != "error":
            names = sorted({f"'{self.said[row.line]}'" for row in lost if row.line in self.said})
            cells = f" (or {', '.join(names)})" if names else ""
            said = (f"{len(lost)} of {len(rows)} {self.plural} are left out, since the label is missing{cells}",)
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

    def check_drawn(self, read: Read, split: Sequence[float], others: int) -> None:
        """A class of fewer than three samples is in train only."""
        counts, column = Counter(read.values), self.columns[0]
        if others or read.faults or split[0] == 1 or max(counts.values()) >= FEWEST:
            return
        way = "name a column of few classes, or train on all by data.split=[1,0,0]"
        if all(NUMBER.fullmatch(label) for label in counts):
            way = f"predict the number by task=regression 'data.target_columns=[{column}]' instead of data.label_column"
        what = f"none of its {len(counts):,} classes has {FEWEST} samples, so that val and test would be empty; {way}"
        raise self.file.error(what, column=column)


class LabelCells(_Named):
    """One column, with any number of labels between separators, or in a list of JSON; a blank cell has none."""

    def __init__(
        self,
        file: CsvFile,
        column: str,
        separator: str,
        plural: str = "rows",
        missing_labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(file, column, "drop", plural, missing_labels)
        self.separator = separator

    def value(self, line: int, record: Record) -> tuple[str, ...]:
        cell = record[self.columns[0]].strip()
        parts = cell.split(self.separator) if (own := listed(cell)) is None else own
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


def odd_label(label: str, numeric: bool, missing: Collection[str] = MISSING_LABELS) -> str | None:
    """Why a label cannot be meant; None where it can. `numeric`: the column holds whole numbers."""
    if label.lower() in missing:
        return f"the label '{label}' stands for a missing value. {AS_CLASS}"
    if listed(label) is not None:
        return f"the label '{short(label)}' is a list. data.multilabel=true takes several labels"
    if numeric and not WHOLE.fullmatch(label):
        return f"the label '{short(label)}' is in a column of whole numbers"
    return None


def numeric(labels: Sequence[str]) -> bool:
    """Whether a column is meant to hold whole numbers: nearly all of its labels are."""
    given = [label for label in labels if label.lower() not in MISSING_LABELS]
    return bool(given) and sum(WHOLE.fullmatch(label) is not None for label in given) >= NUMBERS * len(given)


def like_missing(labels: Sequence[str]) -> list[Problem]:
    """Classes whose name may stand for "no value"."""
    there = set(labels) - NO_LABEL
    odd = ODD | (NO_LABEL if len(there) > 1 and all(label.isdecimal() for label in there) else set())
    counts = Counter(label for label in labels if label.lower() in odd)
    names = [f"'{label}' ({count} samples)" for label, count in counts.items()]
    return problem(
        "classes are called like a missing value",
        "warning",
        names,
        f"if they are none, say so by data.missing_labels=[{', '.join(counts)}]",
    )
