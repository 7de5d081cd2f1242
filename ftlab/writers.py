"""What becomes of predictions: a writer takes them one after the other, in the order of the inputs."""

import csv
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TextIO

from ftlab.errors import UserError, choices
from ftlab.files.table_file import PARQUET
from ftlab.files.text_table import twice
from ftlab.streams import is_unicode
from ftlab.tasks.base import Task

LINES, CSV = ".jsonl", ".csv"
AT_ONCE = 10_000  # rows of a Parquet file that are compressed together
ERROR = "error"  # the last column of a table, and what the record of a broken input holds
SEPARATOR = ";"  # of labels in one cell, as data.label_separator reads them


class Writer(ABC):
    """Writes to `output`, a new file; None: standard output."""

    read: Callable[[], Any] | None = None  # gives the raw input of what `add` is told next

    def __init__(self, output: Path | None) -> None:
        self.output = output

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """From `begin` to `end`, which comes after an error too."""
        self.begin()
        try:
            yield self
        finally:
            self.end()

    @abstractmethod
    def begin(self) -> None:
        """Raises: FileExistsError, for nothing is overwritten."""

    @abstractmethod
    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        """One input: what it is called ({"file": ...}), what Task.describe says of it, and its own prediction.

        One that could not be read has the record {"error": why} and no prediction (None).
        """

    @abstractmethod
    def end(self) -> None:
        """Write what there is to write at last, and let go of the file."""


class Lines(Writer):
    """A JSON object a line, at once; where a character cannot be written as it is, by JSON's escapes."""

    stream: TextIO

    def begin(self) -> None:
        self.stream = sys.stdout if self.output is None else open(self.output, "x", encoding="utf8")  # noqa: SIM115

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        text = json.dumps({**name, **record}, ensure_ascii=not is_unicode(self.stream))
        print(text, file=self.stream, flush=True)

    def end(self) -> None:
        if self.output is not None:
            self.stream.close()


class Rows(Writer):
    """A table: the same columns for each input, those of its name, those of its record, and what was wrong with it.

    A mapping inside a record is a column for each of its keys, named as pandas.json_normalize does: std.price.
    """

    at_once = 1  # rows

    def __init__(
        self, output: Path, names: Sequence[str], flat: Callable[[Mapping[str, Any], Any], Mapping[str, Any]]
    ) -> None:
        """names: the columns of what inputs are called. flat: Task.flat."""
        super().__init__(output)
        self.path, self.names, self.flat = output, names, flat
        self.columns: list[str] = []  # known from the first input that could be read
        self.waiting: list[Mapping[str, Any]] = []

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        """Raises: UserError for a record with other columns than the first one."""
        found = dict(record if raw is None else flattened(self.flat(record, raw)))
        if not self.columns and raw is not None:
            self.columns = self._columns(found)
        if self.columns and (odd := found.keys() - {*self.columns}):
            raise UserError(
                f"output={self.output}: a table has the same columns in each row, and predictions of this task have "
                f"not ({min(odd)}); name a {LINES} file"
            )
        self.waiting.append({**name, **found})
        if self.columns and len(self.waiting) >= self.at_once:
            self._write_waiting()

    def _columns(self, found: Iterable[str]) -> list[str]:
        columns = [*self.names, *found, ERROR]
        if doubled := twice(columns):
            raise UserError(f"output={self.output}: two columns would be called '{doubled}'; name a {LINES} file")
        return columns

    def _write_waiting(self) -> None:
        columns = self.columns or [*self.names, ERROR]
        waiting, self.waiting = self.waiting, []
        self.put(columns, [[cell(row.get(column)) for column in columns] for row in waiting])

    @abstractmethod
    def put(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows to the file; columns are the same each time."""

    def end(self) -> None:
        self._write_waiting()


class CsvRows(Rows):
    """In UTF-8 with commas; a row is there as soon as it is predicted."""

    def begin(self) -> None:
        self.stream = open(self.path, "x", encoding="utf8", errors="backslashreplace", newline="")  # noqa: SIM115
        self.writer = csv.writer(LineFeeds(self.stream))
        self.headed = False

    def put(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.writer.writerows(rows if self.headed else [columns, *rows])
        self.headed = True
        self.stream.flush()

    def end(self) -> None:
        with self.stream:
            super().end()


class LineFeeds:
    """Ends rows by a line feed alone; told so, Python before 3.13 would not quote a carriage return in a cell."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, row: str) -> None:
        self.stream.write(row.removesuffix("\r\n") + "\n")


class ParquetRows(Rows):
    """A column's type is that of its first rows."""

    at_once = AT_ONCE

    def begin(self) -> None:
        self.stream = open(self.path, "xb")  # noqa: SIM115
        self.writer: Any = None

    def put(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        import pyarrow
        from pyarrow import parquet

        cells = [[row[place] for row in rows] for place in range(len(columns))]
        if self.writer is None:
            kinds = [getattr(pyarrow, kind_of(values))() for values in cells]
            self.schema = pyarrow.schema(list(zip(columns, kinds, strict=True)))
            self.writer = parquet.ParquetWriter(self.stream, self.schema)
        arrays = [self._array(field, values) for field, values in zip(self.schema, cells, strict=True)]
        self.writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self.schema))

    def _array(self, field: Any, values: Sequence[Any]) -> Any:
        """Raises: UserError for values that are not of the column's type."""
        import pyarrow

        printable = [v.encode("utf8", "backslashreplace").decode() if isinstance(v, str) else v for v in values]
        try:
            return pyarrow.array(printable, field.type)
        except (pyarrow.ArrowTypeError, pyarrow.ArrowInvalid) as error:
            raise UserError(
                f"output={self.path}: the column '{field.name}' is {field.type} in its first rows and not in later "
                f"ones ({error}); name a {CSV} or {LINES} file"
            ) from None

    def end(self) -> None:
        with self.stream:
            try:
                super().end()
            finally:
                if self.writer is not None:
                    self.writer.close()


def kind_of(values: Sequence[Any]) -> str:
    """What pyarrow calls the type of a column."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool_"
    if kinds == {int}:
        return "int64"
    return "float64" if kinds and kinds <= {int, float} else "string"


def flattened(record: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Of mappings inside of mappings, the values by the path of their keys."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        found |= flattened(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def cell(value: Any) -> Any:
    """A value in one cell: texts of a list side by side, any other list as JSON."""
    if not isinstance(value, list | tuple):
        return value
    return SEPARATOR.join(value) if all(isinstance(one, str) for one in value) else json.dumps(value)


# --- which of them


def check(output: Path | None) -> None:
    """Raises: UserError for a file of predictions that nothing here can write."""
    suffix = LINES if output is None else output.suffix.lower()
    accepted = (LINES, CSV, *PARQUET)
    if suffix not in accepted:
        raise UserError(f"output={output}: no such kind of file, by its suffix '{suffix}'; {choices(suffix, accepted)}")
    if suffix in PARQUET and find_spec("pyarrow") is None:
        raise UserError(f"output={output}: writing Parquet needs pyarrow: pip install 'ftlab[table]'; or name a {CSV}")


def writer_of(output: Path | None, task: Task, settings: Mapping[str, Any], names: Sequence[str]) -> Writer:
    """By the suffix. settings: the task's own, of this prediction; names: columns of what inputs are called.

    Raises: UserError for a setting that a table does not show.
    """
    if output is None or output.suffix.lower() == LINES:
        return Lines(output)
    for key in task.of_lines:
        if settings[key] != task.predict_settings[key]:
            raise UserError(f"{key}={settings[key]}: is for lines; output={output} has a column for every class")
    return (CsvRows if output.suffix.lower() == CSV else ParquetRows)(output, names, task.flat)
