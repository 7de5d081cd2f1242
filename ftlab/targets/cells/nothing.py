"""Nothing is read of a file's rows but what goes in: their targets are made of that."""

from collections.abc import Sequence

from ftlab.files.text_table import Record
from ftlab.targets.cells.base import Cells, Raw, Read
from ftlab.targets.masked_tokens import MaskedTokens, column


class NoCells(Cells):
    key, columns = "text_column", ()

    def value(self, line: int, record: Record) -> None:
        return None

    def read(self, rows: Sequence[Raw]) -> Read:
        return Read(MaskedTokens(), column(len(rows)), list(range(len(rows))), [None] * len(rows))
