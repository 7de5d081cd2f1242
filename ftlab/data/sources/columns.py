"""Which columns of a table a network sees, and which of them hold numbers: decided from names and cells alone.

Shapes: n rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ftlab.data.sources.column_types import is_missing, is_sign, like_number, of_text
from ftlab.data.sources.date_columns import Dates, FoundDates
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile
from ftlab.files.dates import Order
from ftlab.files.numbers import number
from ftlab.files.paths import short
from ftlab.problems import Fault, Problem, problem

Cell = tuple[int, str]  # line of the file, and text
MOST = 0.5  # the share of numbers from which a column that is taken for categories may have been meant for numbers


def matching(file: CsvFile, key: str, patterns: Sequence[str], there: Sequence[str]) -> list[str]:
    """The columns that names or patterns such as id_* mean, in the order of the file where a pattern means several.

    Raises: UserError for one that means no column.
    """
    found: list[str] = []
    for pattern in patterns:
        names = [pattern] if pattern in there else [name for name in there if fnmatchcase(name, pattern)]
        if not names:
            raise file.error(f"data.{key}={pattern} is no column", hint=choices(pattern, there))
        found += [name for name in names if name not in found]
    return found


def seen(
    file: CsvFile, there: Sequence[str], columns: Sequence[str] | None, drop: Sequence[str] | None, own: set[str | None]
) -> list[str]:
    """The columns that the network sees. own: those that have another purpose.

    Raises: UserError for names that are no columns, or have another purpose, or where none is left.
    """
    wanted = list(there) if columns is None else matching(file, "columns", columns, there)
    told = [name for name in columns or () if name in own]
    if told:
        raise UserError(f"data.columns: {told[0]} is a target, the split, or the group; the network may not see it.")
    dropped = matching(file, "drop", drop or (), there)
    left = [name for name in wanted if name not in own and name not in dropped]
    if not left:
        raise file.error("no column is left for the network to see")
    return left


def is_seen(name: str, columns: Sequence[str] | None, drop: Sequence[str] | None) -> bool:
    """Whether a column of another file is one that `seen` would take there."""
    wanted, dropped = (any(one == name or fnmatchcase(name, one) for one in many or ()) for many in (columns, drop))
    return (columns is None or wanted) and not dropped


@dataclass
class Sorted:
    """Columns by what their cells are."""

    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    dates: dict[str, Order] = field(default_factory=dict)  # with the order in which each is read
    faults: list[Fault] = field(default_factory=list)  # cells of numbers that are none
    problems: list[Problem] = field(default_factory=list)


def sort(
    file: CsvFile, columns: Mapping[str, Sequence[Cell]], named: Sequence[str] | None, dates: Dates = "categories"
) -> Sorted:
    """columns: by name their cells (n,). named: the columns of categories, where the user has named them.

    Raises: UserError for dates that have two readings, and nothing says which.
    """
    found, empty, like = Sorted(), [], []
    of_dates = FoundDates()
    signs: list[str] = []
    for name, cells in columns.items():
        there = [(line, cell) for line, cell in cells if not is_missing(cell)]
        text, chosen = of_text([cell for _, cell in there]), named is not None and name in named
        if not there:
            empty.append(name)
        elif text and not chosen and dates != "categories" and of_dates.add(file, name, cells, dates):
            continue
        elif chosen if named is not None else text:
            found.categories.append(name)
            like += _like_numbers(file, name, there) if named is None else []
        else:
            found.numbers.append(name)
            for line, cell in there:
                read = _number(file, line, name, cell)
                if isinstance(read, Fault):
                    found.faults.append(read)
                elif read is None:
                    signs.append(f"'{cell.strip()}' in {file.row(line)}, column {name}")
    advice = "mend the other cells, or name the columns of categories by data.categorical_columns"
    found.dates = of_dates.orders
    taken = "columns hold numbers in most rows, and are taken for categories"
    found.problems = [
        *of_dates.problems(),
        *problem("columns are empty in all rows", "warning", empty, "left out"),
        *problem(taken, "warning", like, advice, learning=True),
        *problem("cells of columns of numbers hold a sign", "warning", signs, "taken as missing"),
    ]
    return found


def _like_numbers(file: CsvFile, name: str, cells: Sequence[Cell]) -> list[str]:
    """The column, in words, if most of its cells are numbers."""
    others = [(line, cell) for line, cell in cells if not like_number(cell) and not is_sign(cell)]
    numbers = len(cells) - len(others)
    if numbers < MOST * len(cells):
        return []
    line, cell = others[0]
    return [f"{name} ({numbers:,} of {len(cells):,} cells are numbers, '{short(cell)}' in {file.row(line)} is none)"]


def _number(file: CsvFile, line: int, column: str, cell: str) -> float | Fault | None:
    """The number of a cell that is not missing; None for a sign that stands for none."""
    try:
        return number(cell)
    except ValueError as error:
        hint = "accepted: a finite number; a column of categories is named in data.categorical_columns."
        return file.fault("rows have a cell that is no number", str(error), line, column, hint)
