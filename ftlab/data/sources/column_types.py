"""What the cells of a file's columns say of them: numbers or categories, or names of the rows.

Shapes: n rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.files.numbers import COMMA, MISSING, SIGNS, THOUSANDS, number
from ftlab.problems import Problem, problem

TEXTS = 0.1  # the share of cells that are no numbers from which a column is one of categories
UNIQUE = 0.9  # the share of different values from which a column of categories says nothing of a new row
FEW = 20  # rows, of which all may differ by chance


def is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def of_text(cells: Sequence[str]) -> bool:
    """Whether a column is one of categories: too many of its cells are no numbers to be mistakes."""
    others = [cell for cell in cells if not like_number(cell)]
    signs = sum(is_sign(cell) for cell in others)
    return signs == len(cells) or len(others) - signs > TEXTS * (len(cells) - signs)


def is_sign(cell: str) -> bool:
    """Whether a cell holds a sign that stands for no number."""
    return cell.strip().lower() in SIGNS


def like_number(cell: str) -> bool:
    """Whether a cell is meant for a number, be it with a comma."""
    try:
        float(cell)
    except ValueError:
        return bool(COMMA.fullmatch(cell.strip()) or THOUSANDS.fullmatch(cell.strip()))
    return True


def typed(cells: Mapping[str, str], seen: Sequence[str], numbers: Sequence[str]) -> dict[str, Any]:
    """The cells that a network sees, numbers as such; None where one is missing. All numbers must be readable."""
    there = {name: None if is_missing(cells[name]) else cells[name].strip() for name in seen}
    return {name: number(cell) if cell is not None and name in numbers else cell for name, cell in there.items()}


def naming(columns: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> list[Problem]:
    """Columns, by name their n cells, that are hardly ever the same, or that number the rows."""
    alike = [name for name, cells in columns.items() if (_counts(cells) if name in numbers else _differ(cells))]
    advice = "if they are names or numbers of the rows, leave them out by data.columns"
    return problem("columns have another value in nearly each row", "warning", alike, advice, learning=True)


def _differ(cells: Sequence[str]) -> bool:
    return len(cells) >= FEW and len(set(cells)) > UNIQUE * len(cells)


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers, each once, without a gap."""
    if len(cells) < FEW or not all(cell.strip().isdecimal() for cell in cells):
        return False
    values = {int(cell) for cell in cells}
    return len(values) == len(cells) == max(values) - min(values) + 1
