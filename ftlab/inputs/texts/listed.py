"""What `input=` of `ftlab predict` names as texts: files of text, rows with a column `text`, or the text itself."""

import glob
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ftlab.errors import UserError, choices
from ftlab.files.jsonl_file import JSONL
from ftlab.files.paths import printable
from ftlab.files.table_file import PARQUET, table_file
from ftlab.files.text_table import given
from ftlab.inputs.base import Unread

PAIRS = (("text", "second"), ("question", "context"))  # columns of a file of rows; the first pair may lack its second
ROWS = (".csv", ".tsv", *JSONL, *PARQUET)


def listed(inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
    """In order; a folder stands for its .txt files, and what is no file at all for itself."""
    found: list[Unread] = []
    for text in [inputs] if isinstance(inputs, str) else inputs:
        path = Path(os.path.expanduser(text))  # as Path does it, a ~ before nobody's name would be an error
        if os.path.isdir(path):  # False for what is too long to be a path, where Path.is_dir raises
            found += [_of_file(file) for file in sorted(path.rglob("*.txt"))]
        elif os.path.isfile(path):
            found += _of_rows(path) if path.suffix.lower() in ROWS else [_of_file(path)]
        elif names := sorted(glob.glob(text)) if glob.has_magic(text) else []:
            found += [one for name in names for one in listed(name)[0]]
        elif " " in text.strip():
            found.append(Unread({"input": text}, partial(str, text)))
        else:
            raise UserError(f"input={text}: no such file; a text of one word is given in a file")
    if not found:
        raise UserError(f"input={inputs}: names no text; give .txt files, a file of rows, or the text itself")
    return found, ()


def _of_file(path: Path) -> Unread:
    return Unread({"file": printable(path)}, partial(_read, path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{printable(path)}: cannot be read as UTF-8 text ({error})") from error


def _of_rows(path: Path) -> list[Unread]:
    file = table_file(str(path), Path(), "input")
    table = file.read()
    there = next((pair for pair in PAIRS[::-1] if {*pair} <= {*table.columns}), PAIRS[0][:1])
    if there[0] not in table.columns:
        wanted = "text, and none is called question and none context"
        raise file.error(f"no column is called {wanted}", hint=choices(there[0], table.columns))

    def read(row: object) -> object:
        cells = given(row)  # type: ignore[arg-type]  # a row of the table
        return tuple(cells[column] for column in there) if len(there) > 1 else cells[there[0]]

    return [Unread({"file": file.shown, "row": line}, partial(read, row)) for line, row in table.rows]
