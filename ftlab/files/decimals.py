"""The sign of decimals, and signs that stand for no number, in the columns of a text file."""

import re
from collections.abc import Iterable, Sequence

from ftlab.files.numbers import COMMA, MISSING, SIGNS, THOUSANDS

POINT = re.compile(r"[+-]?\d*\.\d*([eE][+-]?\d+)?")
WHOLE = re.compile(r"[+-]?\d+([eE][+-]?\d+)?")
ODD = 0.1  # the share of other cells up to which a column is one of numbers


def has_commas(cells: Sequence[str], sure: bool) -> bool:
    """Whether the numbers of a column have decimal commas. `sure`: a comma cannot part thousands in this file."""
    there = [cell for text in cells if (cell := text.strip()).lower() not in MISSING | SIGNS]
    commas = [cell for cell in there if COMMA.fullmatch(cell)]
    if not commas or (not sure and all(THOUSANDS.fullmatch(cell) for cell in commas)):
        return False
    others = sum(not COMMA.fullmatch(cell) and not WHOLE.fullmatch(cell) for cell in there)
    return others <= ODD * len(there) and not any(POINT.fullmatch(cell) for cell in there)


def with_point(cell: str) -> str:
    """A number with a decimal comma as one with a point, any other text as it is."""
    return cell.replace(",", ".") if COMMA.fullmatch(cell.strip()) else cell


def columns_of(rows: Iterable[Sequence[str]]) -> list[int]:
    """The columns that hold a comma somewhere, by place."""
    return sorted({place for row in rows for place, cell in enumerate(row) if "," in cell})
