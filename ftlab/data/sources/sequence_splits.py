"""Which split a part of a sequence belongs to, so that no split knows what only another may know.

Shapes: n samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ftlab.data.sources.split_names import SPLITS
from ftlab.data.splits import split_indices
from ftlab.inputs.sequences.steps import Layout, Steps
from ftlab.inputs.sequences.times import Time
from ftlab.problems import Fault, Problem
from ftlab.targets.cells.base import Cells

Places = dict[str, list[int]]  # of samples, by split


@dataclass(frozen=True)
class Sample:
    """A sequence, or a window of one, with what is to be predicted for it."""

    name: str
    line: int  # of the file, where the target is
    series: int  # which of the file's sequences it is a part of
    steps: Steps
    span: tuple[Time, Time]  # times of its first step, and of its last step or its target
    splits: frozenset[str]  # that a column says of its steps and its target
    value: Any  # of its target, as targets.cells reads it


@dataclass(frozen=True)
class Found:
    """What a file holds."""

    samples: list[Sample]
    faults: list[Fault]  # of sequences that cannot be used
    problems: list[Problem]
    times: list[Time]  # of all steps; empty where the file says nothing of time
    token: str | None  # where tokens come from
    cells: Cells  # how the values are to be read
    whole: bool  # whether each sample is a sequence of its own, not a window of one
    layout: Layout | None = None  # as the settings say, with what is a gap in time; None: without gaps


def by_column(samples: Sequence[Sample]) -> Places:
    """Samples all of whose rows are of one split; others are nowhere."""
    return {split: [i for i, one in enumerate(samples) if one.splits == {split}] for split in SPLITS}


def by_time(samples: Sequence[Sample], times: Sequence[Time], shares: Sequence[float]) -> Places:
    """Samples that lie wholly, target included, before, between or after two borders; others are nowhere.

    times: of all steps; the borders leave `shares` of the different ones to train, val and test.
    """
    known = sorted(set(times))
    first, second = (round(share * len(known)) for share in (shares[0], shares[0] + shares[1]))
    ends = [known[place] if place < len(known) else float("inf") for place in (0, first, second)] + [float("inf")]
    return {
        split: [i for i, one in enumerate(samples) if ends[k] <= one.span[0] and one.span[1] < ends[k + 1]]
        for k, split in enumerate(SPLITS)
    }


def by_series(samples: Sequence[Sample], shares: tuple[float, float, float], seed: int) -> Places:
    """All samples of one sequence in one split, at random."""
    series = sorted({one.series for one in samples})
    parts, _ = split_indices(len(series), None, shares, seed)
    chosen = {series[place]: split for split, part in zip(SPLITS, parts, strict=True) for place in part.tolist()}
    return {split: [i for i, one in enumerate(samples) if chosen[one.series] == split] for split in SPLITS}


def crossing(samples: Sequence[Sample], places: Places) -> int:
    """Samples that are in no split, since they lie across a border."""
    return len(samples) - sum(map(len, places.values()))
