"""A table in a file, CSV, JSON lines or Parquet; what is wrong with it is told with file, row and column."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import FOUND, Dialect
from ftlab.files.jsonl_file import JSONL, JsonlFile, as_text
from ftlab.files.text_table import TextTable, twice

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class ParquetFile(CsvFile):
    """Cells become texts as in a CSV file, so that both are read alike; rows count from 1."""

    def read(self) -> TextTable:
        """Raises: UserError if the file is not there, or is no Parquet file, or pyarrow is not installed."""
        path = self.existing()
        if self.dialect != FOUND:
            raise self.error("delimiter, decimal and encoding are for text files, and this is none")
        if find_spec("pyarrow") is None:
            raise UserError(
                f"{self.shown}: reading Parquet needs pyarrow: pip install 'ftlab[table]'; or give a CSV file"
            )
        from pyarrow import ArrowException, parquet

        try:
            table = parquet.read_table(path)
        except (ArrowException, OSError, ValueError) as error:
            raise self.error(f"not a Parquet file ({str(error).splitlines()[0]})") from error
        if doubled := twice(table.column_names):
            raise self.error("the name is that of two columns", column=doubled, hint="Rename one.")
        rows = [(n, {k: _text(v) for k, v in row.items()}) for n, row in enumerate(table.to_pylist(), start=1)]
        return TextTable(tuple(table.column_names), rows)


def _text(cell: Any) -> str:
    """repr of a float is read back to the same bits; a list is that of its parts as JSON."""
    if isinstance(cell, list):
        return as_text(cell)
    return "" if cell is None else repr(cell) if isinstance(cell, float) else str(cell)


def table_file(name: str, folder: Path, key: str = "data.file", dialect: Dialect = FOUND) -> CsvFile:
    """The file by its suffix; `key`: what the user typed its name after."""
    suffix = Path(name).suffix.lower()
    kind = ParquetFile if suffix in PARQUET else JsonlFile if suffix in JSONL else CsvFile
    return kind(name, folder, key, dialect)
