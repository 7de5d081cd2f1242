"""What the cells of a file's columns say of them: numbers or categories, names of the rows, rows that repeat.

Shapes: n rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.data.base import Splits
from ftlab.files.numbers import MISSING, number
from ftlab.inputs import kinds
from ftlab.problems import Problem, problem

TEXTS = 0.1  # the share of cells that are no numbers from which a column is one of categories
UNIQUE = 0.9  # the share of different values from which a column of categories says nothing of a new row
IN_TRAIN = "are in train too"
FEW = 20  # rows, of which all may differ by chance


def is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def of_text(cells: Sequence[str]) -> bool:
    """Whether a column is one of categories: too many of its cells are no numbers to be mistakes."""
    return sum(not like_number(cell) for cell in cells) > TEXTS * len(cells)


def like_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def typed(cells: Mapping[str, str], seen: Sequence[str], numbers: Sequence[str]) -> dict[str, Any]:
    """The cells that a network sees, numbers as such; None where one is missing. All numbers must be readable."""
    there = {name: None if is_missing(cells[name]) else cells[name].strip() for name in seen}
    return {name: number(cell) if cell is not None and name in numbers else cell for name, cell in there.items()}


def naming(columns: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> list[Problem]:
    """Columns, by name their n cells, that are hardly ever the same, or that number the rows."""
    alike = [name for name, cells in columns.items() if (_counts(cells) if name in numbers else _differ(cells))]
    advice = "if they are names or numbers of the rows, leave them out by data.columns"
    return problem("columns have another value in nearly each row", "warning", alike, advice)


def _differ(cells: Sequence[str]) -> bool:
    return len(cells) >= FEW and len(set(cells)) > UNIQUE * len(cells)


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers, each once, without a gap."""
    if len(cells) < FEW or not all(cell.strip().isdecimal() for cell in cells):
        return False
    values = {int(cell) for cell in cells}
    return len(values) == len(cells) == max(values) - min(values) + 1


def repeated(splits: Splits) -> list[Problem]:
    """Inputs of val and test that train has too, of the kinds that say so."""
    kind = kinds.known().get(splits.kind)  # None: of a data set of Python's, which may call its inputs anything
    if kind is None:
        return []
    found: list[Problem] = []
    for split, places in kind.repeated(splits.inputs()).items():
        names = [splits.parts()[split].name(place) for place in places]
        found += problem(f"{kind.plural} of {split} {IN_TRAIN}", "warning", names, "remove one of each")
    return found


def repeated_again(splits: Splits) -> tuple[Problem, ...]:
    """The problems of splits whose samples have been dealt anew."""
    others = tuple(found for found in splits.problems if not found.kind.endswith(IN_TRAIN))
    return (*others, *repeated(splits))
