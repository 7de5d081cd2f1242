"""Gaps in time: steps of a sequence that are far longer than those that are usual.

Shapes: t steps.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ftlab.inputs.sequences.steps import Layout
from ftlab.inputs.sequences.times import Time

USUAL = 95  # percent of the steps are usual: weekends between business days, months of 28 to 31 days
FAR = 1.9  # times as long as usual is a gap: one missing step of those that are equal, or one missing month
FEW = 20  # steps; a sequence of fewer says too little of what is usual, then all of the file do


def learned(layout: Layout, all_times: Sequence[Sequence[Time]], dates: bool) -> Layout:
    """The layout with the step that is a gap for short sequences; all_times: of each sequence (t,), in order."""
    steps = [_steps(times) for times in all_times]
    return replace(layout, gap=_limit(np.concatenate(steps)) if steps else None, dates=dates)


def cuts(times: Sequence[Time], layout: Layout, dates: bool) -> list[int]:
    """Steps before which there is a gap; none with a layout that knows no gaps. dates: what the times are."""
    steps = _steps(times)
    if layout.gap is None or not len(steps):
        return []
    limit = layout.gap if len(steps) < FEW and dates == layout.dates else _limit(steps)
    return (np.flatnonzero(steps >= limit) + 1).tolist() if limit is not None else []


def parts(length: int, places: Sequence[int]) -> list[tuple[int, int]]:
    """Where the parts of a sequence, cut before `places`, begin and end."""
    return list(pairwise([0, *places, length]))


def inside(places: Sequence[int], first: int, last: int) -> int | None:
    """The first cut between two steps of a sequence; None if they are of one part."""
    at = bisect_right(places, first)
    return places[at] if at < len(places) and places[at] <= last else None


def _steps(times: Sequence[Time]) -> np.ndarray:
    """(t - 1,), each exact before it is rounded to a float."""
    return np.array([float(after - before) for before, after in pairwise(times)])


def _limit(steps: np.ndarray) -> float | None:
    return FAR * float(np.percentile(steps, USUAL)) if len(steps) else None
