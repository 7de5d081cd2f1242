"""How a kind of target is read from the cells of a text file, whichever source the file is of.

A source gives the cells of each row that it can use; what they mean, which cannot be meant, and what is left out, is
decided here, once for all sources.

Shapes: n samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ftlab.errors import choices
from ftlab.files.csv_file import CsvFile
from ftlab.files.text_table import Record
from ftlab.problems import Fault, Problem
from ftlab.targets.base import Column, Target


@dataclass(frozen=True)
class Raw:
    """What one sample's cells hold."""

    line: int  # of the file
    split: str  # train, val or test
    value: Any  # as `Cells.value` gave it


@dataclass(frozen=True)
class Read:
    """The targets of samples that can be used."""

    target: Target
    column: Column  # of the samples that are kept
    kept: list[int]  # their places among those that were given
    values: list[Any]  # as they were given
    faults: list[Fault] = field(default_factory=list)
    warnings: tuple[str, ...] = ()  # of samples that are left out
    problems: tuple[Problem, ...] = ()


class Cells(ABC):
    """`plural`: what the file's samples are called (rows, images, sequences); `missing`: whether one without its
    target is an error, or left out and counted (drop)."""

    key: str  # of the config, under which the columns are named
    columns: tuple[str, ...]

    def __init__(self, file: CsvFile, missing: str, plural: str) -> None:
        self.file, self.missing, self.plural = file, missing, plural

    def check_columns(self, there: Sequence[str]) -> None:
        """Raises: UserError for a column that is not there."""
        for column in self.columns:
            if column not in there:
                raise self.file.error(f"data.{self.key}={column} is no column", hint=choices(column, there))

    @abstractmethod
    def value(self, line: int, record: Record) -> Any | Fault:
        """What the cells of a row hold, each by itself."""

    def lacks(self, value: Any) -> bool:
        """Whether a sample with this value is without its target."""
        return False

    def lacking(self, line: int, value: Any) -> Fault:
        """What is wrong with such a sample, if that is an error."""
        hint = f"data.missing=drop leaves such {self.plural} out and counts them."
        kind = f"{self.plural} lack their target"
        return self.file.fault(kind, "the target is missing", line, self.named(), hint)

    def of_row(self, line: int, record: Record) -> Any | Fault:
        """`value` of a row that is a sample by itself."""
        value = self.value(line, record)
        wanting = self.missing == "error" and not isinstance(value, Fault) and self.lacks(value)
        return self.lacking(line, value) if wanting else value

    @abstractmethod
    def read(self, rows: Sequence[Raw]) -> Read:
        """All of them together. Raises: UserError for what is wrong as a whole."""

    def check(self, read: Read, lines: Sequence[int], train: Sequence[int]) -> None:  # most kinds have nothing to ask
        """Raises: UserError where the train split, at the places `train`, has nothing to learn from.

        lines: of the file, of the samples that are kept.
        """
        return None

    def check_drawn(self, read: Read, split: Sequence[float], others: int) -> None:  # only classes are dealt one by one
        """Raises: UserError where a split by the shares `split` gave val and test none of the samples (`others`) for
        what the targets are."""
        return None

    def named(self) -> str:
        """The columns, for a message."""
        return ", ".join(self.columns)
