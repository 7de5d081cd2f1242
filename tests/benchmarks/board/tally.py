"""Mean, error and rank of what was measured: pure arithmetic over {(set, row): {seed: figure}}."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT = "default"
Cells = Mapping[str, Mapping[int, float]]  # of one set: row, seed, figure


@dataclass(frozen=True)
class Behind:
    """How far the default is behind the best other row, in the figure's own units; below 0: ahead."""

    row: str
    gap: float
    error: float  # standard error of the paired differences; nan with one seed


def mean(cells: Mapping[int, float]) -> float:
    return statistics.mean(cells.values())


def error(values: list[float]) -> float:
    """The standard error of their mean; nan of one value."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def behind(cells: Cells, higher: bool) -> Behind | None:
    """None without a default or without another row."""
    others = [row for row in cells if row != DEFAULT]
    if DEFAULT not in cells or not others:
        return None
    sign = 1.0 if higher else -1.0
    best = max(others, key=lambda row: sign * mean(cells[row]))
    common = sorted(cells[best].keys() & cells[DEFAULT].keys())
    gaps = [sign * (cells[best][seed] - cells[DEFAULT][seed]) for seed in common]
    return Behind(best, statistics.mean(gaps), error(gaps)) if gaps else None


def loses(found: Behind, figure: float) -> bool:
    """More than two paired standard errors and more than a point (of an error that is larger: 5 % of it) behind.

    figure: the default's; its distance from 1 is its error, as of an accuracy or R2.
    """
    margin = max(0.01, 0.05 * abs(1 - figure))
    return found.gap > margin and not found.gap <= 2 * found.error


def ranks(board: Mapping[str, Cells], higher: Mapping[str, bool]) -> dict[str, float]:
    """The mean rank of each row over the sets that it was measured on; 1 is the best, rows that are equal share one."""
    found: dict[str, list[float]] = {}
    for name, cells in board.items():
        sign = 1.0 if higher[name] else -1.0
        means = {row: sign * mean(seeds) for row, seeds in cells.items() if seeds}
        for row, value in means.items():
            above = sum(other > value for other in means.values())
            equal = sum(other == value for other in means.values())
            found.setdefault(row, []).append((above + (equal + 1) / 2 - 1) / max(1, len(means) - 1))
    return {row: statistics.mean(places) for row, places in found.items()}
