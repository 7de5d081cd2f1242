"""A CSV file whose first row names the columns; what is wrong with it is told with file, row and column."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ftlab.errors import UserError, choices
from ftlab.files.decimals import columns_of, has_commas, with_point
from ftlab.files.dialect import FOUND, Dialect, decoded, delimiter_of, told
from ftlab.files.paths import printable, short
from ftlab.files.quotes import Parsed, parsed
from ftlab.files.text_table import Record, TextTable, counts, named, twice
from ftlab.problems import Fault, Problem, problem

NO_ROWS = "the file has no rows"  # below that which names the columns, if there is that one


@dataclass(frozen=True)
class CsvFile:
    """`name` is what the user typed after `key`, `folder` what it is relative to."""

    name: str
    folder: Path
    key: str = "data.file"
    dialect: Dialect = FOUND

    def read(self) -> TextTable:
        """All of it.

        Raises: UserError if the file is not there, is empty, is no text, or two of its columns bear one name.
        """
        try:
            text, encoding = decoded(self.existing().read_bytes(), self.dialect.encoding, f"{self.group}encoding")
        except ValueError as error:
            raise self.error(str(error)) from error
        delimiter = self.dialect.delimiter or delimiter_of(text)
        found = parsed(text, delimiter)
        if not any(cell.strip() for _, row in found.rows for cell in row):
            raise self.error(NO_ROWS)
        if not any(cell.strip() for cell in found.rows[0][1]):
            raise self.error("the first row is empty; that row names the columns")
        table = self._table(found, delimiter)
        ways = ", ".join(told(self.dialect, delimiter, encoding))
        said = problem(f"file is read with {ways}", "note", [self.shown]) if ways else []
        return replace(table, problems=(*said, *self._quotes(found), *table.problems))

    def _table(self, found: Parsed, delimiter: str) -> TextTable:
        (_, header), *body = found.rows
        whole = [row for _, row in body if len(row) == len(header)]
        counting = [not name.strip() and counts([row[place] for row in whole]) for place, name in enumerate(header)]
        names, unnamed = named(header, counting)
        columns = [name for name in names if name is not None]
        if doubled := twice(columns):
            raise self.error("the name is that of two columns", column=doubled, hint="Rename one.")
        commas = self._commas(whole, delimiter)
        problems = [
            *problem("columns have no name", "warning", unnamed),
            *problem("columns of numbers have a decimal comma", "note", [str(names[place]) for place in commas]),
        ]
        rows = [(line, self._record(names, line, row, commas)) for line, row in body]
        torn = {line: dict(zip(columns, row, strict=False)) for line, row in body if len(row) != len(header)}
        return TextTable(tuple(columns), rows, torn, tuple(problems))

    def _commas(self, rows: Sequence[Sequence[str]], delimiter: str) -> set[int]:
        """The columns, by place, whose numbers have a decimal comma."""
        if self.dialect.decimal == ".":
            return set()
        sure = delimiter == ";" or self.dialect.decimal == ","
        return {place for place in columns_of(rows) if has_commas([row[place] for row in rows], sure)}

    def _record(self, names: Sequence[str | None], line: int, row: Sequence[str], commas: set[int]) -> Record | Fault:
        if len(row) != len(names):
            what = f"the row has {len(row)} cells, and there are {len(names)} columns"
            return self.fault("rows are too long or too short", what, line)
        there = ((place, name) for place, name in enumerate(names) if name is not None)
        if not commas:
            return {name: row[place] for place, name in there}
        return {name: with_point(row[place]) if place in commas else row[place] for place, name in there}

    def _quotes(self, found: Parsed) -> list[Problem]:
        stray = [f"{self.row(line)} ({short(text)})" for line, text in found.stray]
        broken = [f"{printable(self.name)}, rows {first} to {last}" for first, last in found.broken]
        return [
            *problem(
                "rows have a quote that is not closed, or not at the end of its cell",
                "warning",
                stray,
                "read as they stand",
            ),
            *problem("rows have cells that hold line breaks", "note", broken),
        ]

    def existing(self) -> Path:
        """Raises: UserError, naming the nearest file of that suffix, or saying that there is none."""
        path = self.folder / self.name
        if not path.is_file():
            suffix = path.suffix or ".csv"
            there = [entry.name for entry in path.parent.glob(f"*{suffix}")]
            near = choices(path.name, there) if there else f"there is no {suffix} file at all."
            raise UserError(f"{self.key}={self.shown} is not a file in {printable(self.folder)}; {near}")
        return path

    @property
    def group(self) -> str:
        """What stands before the names of keys, as they are typed: data. or, where new rows are predicted, nothing."""
        return "data." if self.key.startswith("data.") else ""

    @property
    def shown(self) -> str:
        return printable(self.name)

    def error(self, what: str, line: int | None = None, column: str | None = None, hint: str = "") -> UserError:
        place = f"{printable(self.name)}" + (f", row {line}" if line else "") + (f", column {column}" if column else "")
        joined = "; " if hint[:1].islower() else ". "  # what is accepted goes on with the sentence
        return UserError(f"{place}: {what}{joined}{hint}".rstrip())

    def fault(self, kind: str, what: str, line: int, column: str | None = None, hint: str = "") -> Fault:
        """A row that cannot be used."""
        return Fault(self.row(line), kind, str(self.error(what, line, column, hint)))

    def row(self, line: int) -> str:
        """What a row is called."""
        return f"{printable(self.name)}, row {line}"
