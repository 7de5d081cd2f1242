"""Questions with their contexts in a file of rows: CSV, TSV, JSON lines or Parquet."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ftlab.data.base import Source, Splits
from ftlab.data.sources.listed import group_of
from ftlab.data.sources.questions import Question, Sharing, dealt
from ftlab.data.sources.split_names import split_of
from ftlab.errors import choices
from ftlab.files.dialect import dialect
from ftlab.files.folders import existing_folder
from ftlab.files.numbers import number
from ftlab.files.table_file import table_file
from ftlab.files.text_table import Record
from ftlab.problems import Fault


class QuestionCsv(Source):
    """One row a question. Without an answer it has none. An answer may also be an object {"text": [...],
    "answer_start": [...]}, as data sets of Hugging Face write SQuAD.

    Raises (survey): UserError, naming file, row and column.
    """

    def __init__(
        self,
        root: str,
        file: str,
        question_column: str,
        context_column: str,
        answer_column: str,
        start_column: str | None,
        split_column: str | None,
        group_column: str | None,
        split: Sequence[float],
        delimiter: str | None,
        encoding: str | None,
    ) -> None:
        self.root, self.split = root, split
        self.file = table_file(file, Path(root).expanduser(), dialect=dialect(delimiter, None, encoding))
        self.columns = {"question_column": question_column, "context_column": context_column}
        self.columns |= {"answer_column": answer_column}
        more = {"start_column": start_column, "split_column": split_column, "group_column": group_column}
        self.more = {key: column for key, column in more.items() if column is not None}

    def survey(self, seed: int) -> Splits:
        existing_folder(self.root)
        table = self.file.read()
        for key, column in {**self.columns, **self.more}.items():
            if column not in table.columns:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, table.columns))
        found = [row if isinstance(row, Fault) else self._question(line, row) for line, row in table.rows]
        whole = dealt(found, Sharing(self.split, self.learned), seed)
        return replace(whole, problems=(*table.problems, *whole.problems))

    def _question(self, line: int, row: Record) -> Question | Fault:
        question, context, answer = (row[column] for column in self.columns.values())
        columns = [self.more.get(key) for key in ("split_column", "group_column")]
        split = split_of(self.file, line, row.get(columns[0] or ""), columns[0])
        group = group_of(self.file, line, row.get(columns[1] or ""), columns[1])
        answers = self._answers(line, answer, row.get(self.more.get("start_column", ""), ""))
        for one in (split, group, answers):
            if isinstance(one, Fault):
                return one
        texts, start = answers  # type: ignore[misc]  # no fault
        return Question(self.file.row(line), question, context, texts, start, str(split), str(group))

    def _answers(self, line: int, cell: str, start: str) -> tuple[tuple[str, ...], int | None] | Fault:
        if cell.lstrip().startswith("{") and (several := written(cell)) is not None:
            return several
        if not cell.strip():
            return (), None
        try:
            place = number(start) if start.strip() else None
        except ValueError:
            place = -1.0
        if place is not None and (place < 0 or place % 1):
            what = f"'{start}' is no character of the context, which are counted from 0"
            return self.file.fault("rows have no place of their answer", what, line, self.more["start_column"])
        return (cell,), None if place is None else int(place)


def written(cell: str) -> tuple[tuple[str, ...], int | None] | None:
    """The answers of an object with lists of texts and of starts; None for what is none."""
    try:
        found = json.loads(cell)
        texts, starts = found["text"], found.get("answer_start") or [None]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts) or not isinstance(starts, list):
        return None
    return tuple(dict.fromkeys(texts)), starts[0] if texts else None
