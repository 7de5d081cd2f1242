"""Columns of a file as numbers to predict.

Shapes: n rows, t targets.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile, Record
from ftlab.files.numbers import number
from ftlab.problems import Fault

Numbers = tuple[float | None, ...]  # one a column, None where it is missing


@dataclass(frozen=True)
class TargetColumns:
    """`missing`: what a row without one of its numbers is: an error, or left out and counted (drop)."""

    file: CsvFile
    names: tuple[str, ...]
    missing: str

    def check_names(self) -> None:
        twice = [column for column, count in Counter(self.names).items() if count > 1]
        if twice:
            raise UserError(f"data.target_columns: {twice[0]} is named twice; name each column once.")

    def of(self, line: int, record: Record) -> Numbers | Fault:
        """The numbers of a row."""
        found: list[float | None] = []
        for column in self.names:
            try:
                value = number(record[column] or "")
            except ValueError as error:
                hint = "Accepted: a finite number with a decimal point, such as -3.5 or 1e-3."
                return self.file.fault("rows have a target that is no number", str(error), line, column, hint)
            if value is None and self.missing == "error":
                hint = "Accepted: a number; data.missing=drop leaves such rows out and counts them."
                return self.file.fault("rows lack a target", "the target is missing", line, column, hint)
            found.append(value)
        return tuple(found)

    def dropped(self, rows: Sequence[Numbers]) -> tuple[str, ...]:
        """The warning about rows that are left out since one of their numbers is missing."""
        lost = [row for row in rows if None in row]
        if not lost:
            return ()
        counts = [sum(row[place] is None for row in lost) for place in range(len(self.names))]
        each = ", ".join(f"{column} in {count}" for column, count in zip(self.names, counts, strict=True) if count)
        return (f"{len(lost)} of {len(rows)} rows are left out, since a target is missing: {each}",)

    def check(self, lines: Sequence[int], train: Sequence[int], targets: Tensor) -> None:
        """Raises: UserError for targets (n, t) float64 that nothing can be learned from.

        lines: of the file, one a row; train: the places of the rows of the train split.
        """
        if not len(targets):
            raise self.file.error("no row has all of its targets", column=", ".join(self.names))
        for column, values in zip(self.names, targets[list(train)].unbind(dim=1), strict=True):
            if len(values) > 1 and values.min() == values.max():
                first, last = lines[train[0]], lines[train[-1]]
                what = f"the target is {values[0]:g} in all {len(values)} rows of the train split (to row {last})"
                raise self.file.error(what, first, column, "There is nothing to learn: leave the column out.")
        self._check_precision(targets)

    def _check_precision(self, targets: Tensor) -> None:
        """Networks compute with 32 bits: what differs in the eighth digit only would be rounded away."""
        spread, largest = targets.std(dim=0, correction=0), targets.abs().amax(dim=0)
        for column, lost in zip(self.names, (largest * 2**-24 > spread / 1000).tolist(), strict=True):
            if lost:
                what = "the numbers differ by less than 32 bits can tell apart"
                raise self.file.error(what, column=column, hint="Subtract what they have in common.")
