"""Cells that hold numbers to predict.

Shapes: n rows, k numbers.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.files.numbers import number
from ftlab.files.text_table import Record
from ftlab.problems import Fault
from ftlab.targets.cells.base import Cells, Raw, Read
from ftlab.targets.numbers import Numbers

Values = tuple[float | None, ...]  # one a column, None where it is missing


class NumberCells(Cells):
    """One column a number."""

    key = "target_columns"

    def __init__(self, file: CsvFile, columns: Sequence[str], missing: str, plural: str = "rows") -> None:
        super().__init__(file, missing, plural)
        self.columns = tuple(columns)

    def check_columns(self, there: Sequence[str]) -> None:
        super().check_columns(there)
        twice = [column for column, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise UserError(f"data.target_columns: {twice[0]} is named twice; name each column once.")

    def value(self, line: int, record: Record) -> Values | Fault:
        found: list[float | None] = []
        for column in self.columns:
            try:
                found.append(number(record[column]))
            except ValueError as error:
                hint = "accepted: a finite number with a decimal point, such as -3.5 or 1e-3."
                return self.file.fault("rows have a target that is no number", str(error), line, column, hint)
        return tuple(found)

    def read(self, rows: Sequence[Raw]) -> Read:
        kept = [place for place, row in enumerate(rows) if not self.lacks(row.value)]
        lost = [row for row in rows if self.lacks(row.value)]
        faults = [self.lacking(row.line, row.value) for row in lost] if self.missing == "error" else []
        if not kept:
            raise (
                UserError(faults[0].reason)
                if faults
                else self.file.error(f"no {self.plural[:-1]} has all of its targets", column=self.named())
            )
        values = [rows[place].value for place in kept]
        column = torch.tensor(values, dtype=torch.float64).float()
        said = () if self.missing == "error" else self._dropped(lost, len(rows))
        return Read(Numbers(self.columns), column, kept, values, faults, said)

    def lacks(self, value: Values) -> bool:
        return None in value

    def lacking(self, line: int, value: Values) -> Fault:
        column = next(name for name, number in zip(self.columns, value, strict=True) if number is None)
        hint = f"accepted: a number; data.missing=drop leaves such {self.plural} out and counts them."
        return self.file.fault(f"{self.plural} lack a target", "the target is missing", line, column, hint)

    def _dropped(self, lost: Sequence[Raw], count: int) -> tuple[str, ...]:
        if not lost:
            return ()
        missing = [sum(row.value[place] is None for row in lost) for place in range(len(self.columns))]
        each = ", ".join(f"{column} in {n}" for column, n in zip(self.columns, missing, strict=True) if n)
        return (f"{len(lost)} of {count} {self.plural} are left out, since a target is missing: {each}",)

    def check(self, read: Read, lines: Sequence[int], train: Sequence[int]) -> None:
        """Numbers must differ in train, and in 32 bits: what differs in the eighth digit only would be rounded away."""
        exact = torch.tensor(read.values, dtype=torch.float64)
        for column, values in zip(self.columns, exact[list(train)].unbind(dim=1), strict=True):
            if len(values) > 1 and values.min() == values.max():
                last = lines[train[-1]]
                what = f"the target is {values[0]:g} in all {len(values)} rows of the train split (to row {last})"
                hint = "There is nothing to learn: leave the column out."
                raise self.file.error(what, lines[train[0]], column, hint)
        spread, largest = exact.std(dim=0, correction=0), exact.abs().amax(dim=0)
        for column, lost in zip(self.columns, (largest * 2**-24 > spread / 1000).tolist(), strict=True):
            if lost:
                what = "the numbers differ by less than 32 bits can tell apart"
                raise self.file.error(what, column=column, hint="Subtract what they have in common.")
