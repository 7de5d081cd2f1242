"""A CSV file whose first row names the columns; what is wrong with it is told with file, row and column."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ftlab.errors import UserError, choices
from ftlab.files.paths import printable
from ftlab.problems import Fault

Record = Mapping[str, str | None]  # a row by column; None for a cell that is not there
T = TypeVar("T")


@dataclass(frozen=True)
class CsvFile:
    """`name` is what the user typed after `key`, `folder` what it is relative to."""

    name: str
    folder: Path
    key: str = "data.file"

    def rows(self, check_columns: Callable[[Sequence[str]], None], make: Callable[[int, Record], T]) -> list[T]:
        """What `make` gives for the line (the header is 1) and the cells of each row.

        Raises: UserError if the file is not there, is empty or is no CSV file in UTF-8.
        """
        try:
            with open(self.existing(), newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream)
                if not reader.fieldnames:
                    raise self.error("the file is empty, or its first row is; that row names the columns")
                check_columns(reader.fieldnames)
                return [make(reader.line_num, record) for record in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise self.error(f"not a CSV file in UTF-8 ({error})") from error

    def existing(self) -> Path:
        """Raises: UserError, naming the nearest file of that suffix, or saying that there is none."""
        path = self.folder / self.name
        if not path.is_file():
            suffix = path.suffix or ".csv"
            there = [entry.name for entry in path.parent.glob(f"*{suffix}")]
            near = choices(path.name, there) if there else f"there is no {suffix} file at all."
            raise UserError(f"{self.key}={self.shown} is not a file in {printable(self.folder)}: {near}")
        return path

    @property
    def shown(self) -> str:
        return printable(self.name)

    def error(self, what: str, line: int | None = None, column: str | None = None, hint: str = "") -> UserError:
        place = f"{printable(self.name)}" + (f", row {line}" if line else "") + (f", column {column}" if column else "")
        return UserError(f"{place}: {what}. {hint}".rstrip())

    def fault(self, kind: str, what: str, line: int, column: str | None = None, hint: str = "") -> Fault:
        """A row that cannot be used."""
        return Fault(self.row(line), kind, str(self.error(what, line, column, hint)))

    def row(self, line: int) -> str:
        """What a row is called."""
        return f"{printable(self.name)}, row {line}"
