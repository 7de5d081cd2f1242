"""Texts, or pairs of texts, with a class, labels or numbers, in a file of rows.

Shapes: n rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ftlab.data.base import Source, Splits
from ftlab.data.sources.listed import Sharing, blaming, dealt, group_of
from ftlab.data.sources.split_names import split_of
from ftlab.errors import UserError, choices
from ftlab.files.dialect import dialect
from ftlab.files.folders import existing_folder
from ftlab.files.table_file import table_file
from ftlab.files.text_table import Record
from ftlab.inputs.texts.preprocessing import Text, is_halved
from ftlab.problems import Fault
from ftlab.targets.cells.choice import cells_of
from ftlab.targets.cells.nothing import NoCells
from ftlab.targets.masked_tokens import MaskedTokens


@dataclass(frozen=True)
class _Row:
    line: int
    text: Text
    target: Any  # as targets.cells reads it
    split: str
    group: str


class TextCsv(Source):
    """One row a sample: CSV, TSV, JSON lines or Parquet, by the file's suffix.

    With `target_columns` the targets are numbers and `label_column` is not read. `second_column`: of the other text of
    a pair. Raises (read): UserError, naming file, row and column.
    """

    def __init__(
        self,
        root: str,
        file: str,
        text_column: str,
        second_column: str | None,
        label_column: str,
        target_columns: Sequence[str] | None,
        multilabel: bool,
        label_separator: str,
        missing: Literal["error", "drop"],
        split_column: str | None,
        group_column: str | None,
        split: Sequence[float],
        missing_labels: Sequence[str] | None,
        delimiter: str | None,
        decimal: str | None,
        encoding: str | None,
    ) -> None:
        self.root = root
        self.file = table_file(file, Path(root).expanduser(), dialect=dialect(delimiter, decimal, encoding))
        self.columns = tuple(filter(None, (text_column, second_column)))
        self.sharing = Sharing(split_column, group_column, split)
        self.cells = cells_of(
            self.file, "texts", label_column, target_columns, multilabel, label_separator, missing, missing_labels
        )

    def survey(self, seed: int) -> Splits:
        if self.target_kind == MaskedTokens.kind:  # nothing but the texts is read
            self.cells = NoCells(self.file, "error", "texts")
        existing_folder(self.root)
        table = self.file.read()
        self._check_columns(table.columns)
        found = [record if isinstance(record, Fault) else self._row(line, record) for line, record in table.rows]
        rows = [row for row in found if isinstance(row, _Row)]
        faults = [row for row in found if isinstance(row, Fault)]
        if not rows and faults:
            raise UserError(faults[0].reason)
        sharing = replace(self.sharing, learned=self.learned)
        with blaming(faults):
            whole, _ = dealt(self.file, self.cells, rows, self._made, sharing, seed)
        bad = sorted([*faults, *whole.faults], key=lambda fault: int(fault.name.rpartition(" ")[2]))  # by row
        problems = (*table.problems, *whole.problems)
        return replace(whole, problems=problems, faults=tuple(bad), kind="text")

    def _check_columns(self, there: Sequence[str]) -> None:
        split, group = self.sharing.split_column, self.sharing.group_column
        own = [("text_column", self.columns[0]), *(("second_column", name) for name in self.columns[1:])]
        for key, column in (*own, ("split_column", split), ("group_column", group)):
            if column is not None and column not in there:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, there))
        self.cells.check_columns(there)

    def _row(self, line: int, record: Record) -> _Row | Fault:
        texts = [record[column] for column in self.columns]
        for column, text in zip(self.columns, texts, strict=True):
            if not text.strip():
                return self.file.fault("rows have no text", "the text is empty", line, column)
            if is_halved(text):
                what = "the text holds half of a character, a lone surrogate"
                return self.file.fault("rows hold halves of characters", what, line, column)
        target = self.cells.of_row(line, record)
        columns = self.sharing.split_column, self.sharing.group_column
        split = split_of(self.file, line, record.get(columns[0] or ""), columns[0])
        group = group_of(self.file, line, record.get(columns[1] or ""), columns[1])
        fault = next((found for found in (target, split, group) if isinstance(found, Fault)), None)
        whole: Text = texts[0] if len(texts) == 1 else (texts[0], texts[1])
        return fault or _Row(line, whole, target, str(split), str(group))

    def _made(self, rows: list[_Row]) -> tuple[list[Text], list[str]]:
        return [row.text for row in rows], [self.file.row(row.line) for row in rows]
