"""A table in a file of JSON lines, an object a line; what is wrong with it is told with file, row and column."""

import json
from dataclasses import dataclass
from typing import Any

from ftlab.errors import UserError
from ftlab.files.csv_file import NO_ROWS, CsvFile
from ftlab.files.dialect import decoded
from ftlab.files.paths import short
from ftlab.files.text_table import Record, TextTable
from ftlab.problems import Fault

JSONL = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class JsonlFile(CsvFile):
    """Cells become texts as in a CSV file, a list those of its parts as JSON; a key that a line lacks is an empty cell.
    Rows count from 1."""

    def read(self) -> TextTable:
        """Raises: UserError if the file is not there, is empty or no text, or no line of it is an object."""
        if self.dialect.delimiter or self.dialect.decimal:
            raise self.error("delimiter and decimal are for tables of cells, and this holds JSON")
        try:
            text, _ = decoded(self.existing().read_bytes(), self.dialect.encoding, f"{self.group}encoding")
        except ValueError as error:
            raise self.error(str(error)) from error
        lines = [(line, text) for line, text in enumerate(text.split("\n"), start=1) if text.strip()]
        if not lines:
            raise self.error(NO_ROWS)
        read = [(line, self._row(line, text)) for line, text in lines]
        columns = tuple(dict.fromkeys(key for _, row in read if not isinstance(row, Fault) for key in row))
        if not columns:
            raise UserError(next(row.reason for _, row in read if isinstance(row, Fault)))
        rows: list[tuple[int, Record | Fault]] = [
            (line, row if isinstance(row, Fault) else {key: row.get(key, "") for key in columns}) for line, row in read
        ]
        return TextTable(columns, rows)

    def _row(self, line: int, text: str) -> Record | Fault:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            return self.fault("rows are no JSON", f"'{short(text)}' is no JSON ({error})", line)
        if not isinstance(found, dict):
            return self.fault("rows are no JSON objects", f"'{short(text)}' is no object with keys", line)
        return {str(key): as_text(value) for key, value in found.items()}


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def listed(text: str) -> list[str] | None:
    """The parts of a list as `as_text` writes it, each as a text; None for what is none."""
    try:
        found = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return [as_text(part) for part in found] if isinstance(found, list) else None
