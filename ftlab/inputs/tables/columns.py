"""Columns of numbers and of categories of a table: fitted on training rows, and back from a bundle."""

import math
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

import numpy as np

from ftlab.inputs.tables.cells import Row, as_category, cell_of

OTHER, ABSENT = 0, 1  # ids of a category that has none of its own, and of a missing one
OWN_IDS = 2  # ids from here on are those of a column's values
EDGES = 48  # parts of as many training cells each, whose borders a column keeps


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: (cell - mean) / std; a missing cell is `filler`, and has a 1 of its own if `indicator`."""

    name: str
    mean: float  # of the training cells that are there
    std: float
    filler: float  # their median
    indicator: bool  # whether some training cells are missing
    edges: tuple[float, ...] = ()  # rising, of parts of as many training cells each; none in earlier versions

    def rank(self, cell: float) -> float:
        """Where among the training cells: 0 at the first edge, 1 at the last, a line from each to the next."""
        if len(self.edges) < 2:
            return 0.0
        place = bisect(self.edges, cell)
        if place in (0, len(self.edges)):
            return float(place > 0)
        low, high = self.edges[place - 1 : place + 1]
        return (place - 1 + (cell - low) / (high - low)) / (len(self.edges) - 1)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories, of which those with enough training rows have an id of their own."""

    name: str
    values: tuple[str, ...]

    @cached_property
    def known(self) -> dict[str, int]:
        """The id of each category; of two that are written for the same, as 7 and 7.0, the first one's."""
        return {as_category(v) or v: OWN_IDS + i for i, v in reversed(tuple(enumerate(self.values)))}

    @property
    def ids(self) -> int:
        return OWN_IDS + len(self.values)


def number_column(name: str, cells: Sequence[float | None]) -> NumberColumn:
    there = np.array([cell for cell in cells if cell is not None], dtype=np.float64)
    if not len(there):
        return NumberColumn(name, 0.0, 1.0, 0.0, True)
    mean, std = float(there.mean()), float(there.std())
    if there.min() == there.max():  # the mean of equal numbers is off by rounding
        mean, std = float(there[0]), 1.0
    edges = np.unique(np.quantile(there, np.linspace(0, 1, EDGES + 1))).tolist()
    return NumberColumn(name, mean, std, float(median(there)), len(there) < len(cells), tuple(edges))


def category_column(name: str, rows: Sequence[Row], rare: int) -> CategoryColumn:
    counts = Counter(cell_of(row, name, as_category) for row in rows)
    return CategoryColumn(name, tuple(sorted(v for v, count in counts.items() if v is not None and count >= rare)))


# --- back from a bundle


def stored_numbers(
    name: str, mean: float, std: float, filler: float, indicator: bool, edges: Sequence[float] = ()
) -> NumberColumn:
    good = all(type(x) in (int, float) and math.isfinite(x) for x in (mean, std, filler, *edges)) and std > 0
    if not all(low < high for low, high in pairwise(edges)):
        raise ValueError(f"preprocessing: the edges of column {name!r} do not rise")
    if not isinstance(name, str) or not good or not isinstance(indicator, bool):
        raise ValueError(f"preprocessing: column {name!r} has the mean {mean!r}, deviation {std!r}, filler {filler!r}")
    return NumberColumn(name, float(mean), float(std), float(filler), indicator, tuple(map(float, edges)))


def stored_categories(name: str, values: Sequence[str]) -> CategoryColumn:
    texts = isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
    if not isinstance(name, str) or not texts or len(set(values)) != len(values):
        raise ValueError(f"preprocessing: the categories of column {name!r} are not texts, each once")
    return CategoryColumn(name, tuple(values))
