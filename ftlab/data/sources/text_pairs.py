"""Texts with what is to be written of them, in a file of rows."""

from collections.abc import Sequence
from pathlib import Path

from ftlab.data.base import Source, Splits
from ftlab.data.sources.listed import group_of
from ftlab.data.sources.pairs import Pair, dealt
from ftlab.data.sources.questions import Sharing
from ftlab.data.sources.split_names import split_of
from ftlab.errors import choices
from ftlab.files.dialect import dialect
from ftlab.files.folders import existing_folder
from ftlab.files.table_file import table_file
from ftlab.files.text_table import Record
from ftlab.problems import Fault


class TextPairs(Source):
    """One row a pair: CSV, TSV, JSON lines or Parquet, by the file's suffix.

    Raises (read): UserError, naming file, row and column.
    """

    def __init__(
        self,
        root: str,
        file: str,
        source_column: str,
        target_columns: Sequence[str],
        split_column: str | None,
        group_column: str | None,
        split: Sequence[float],
        delimiter: str | None,
        encoding: str | None,
    ) -> None:
        """target_columns: several are several right texts, of which a row needs one."""
        self.root, self.split = root, split
        self.file = table_file(file, Path(root).expanduser(), dialect=dialect(delimiter, None, encoding))
        self.source, self.targets = source_column, [*target_columns]
        self.split_column, self.group_column = split_column, group_column

    def survey(self, seed: int) -> Splits:
        existing_folder(self.root)
        table = self.file.read()
        named = {"source_column": self.source, "split_column": self.split_column, "group_column": self.group_column}
        for key, column in [*named.items(), *(("target_columns", column) for column in self.targets)]:
            if column is not None and column not in table.columns:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, table.columns))
        pairs = [row if isinstance(row, Fault) else self._pair(line, row) for line, row in table.rows]
        found = dealt(pairs, Sharing(self.split, self.learned), seed)
        found.problems = (*table.problems, *found.problems)
        return found

    def _pair(self, line: int, row: Record) -> Pair | Fault:
        split = split_of(self.file, line, row.get(self.split_column or "", ""), self.split_column)
        group = group_of(self.file, line, row.get(self.group_column or "", ""), self.group_column)
        for one in (split, group):
            if isinstance(one, Fault):
                return one
        texts = dict.fromkeys(row[column] for column in self.targets if row[column].strip())
        return Pair(self.file.row(line), row[self.source], tuple(texts), str(split), str(group))
