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
    group: str = ""  # what a column says that its sequence belongs to
    start: int = 0  # its first step in the sequence

    @property
    def owner(self) -> str | int:
        """What stays whole in one split: the group, or the sequence."""
        return self.group or self.series


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


def by_owner(samples: Sequence[Sample], shares: tuple[float, float, float], seed: int) -> Places:
    """All samples of one sequence, or of one group of sequences, in one split, at random."""
    owners = list(dict.fromkeys(one.owner for one in sorted(samples, key=lambda one: (one.group, one.series))))
    parts, _ = split_indices(len(owners), None, shares, seed)
    chosen = {owners[place]: split for split, part in zip(SPLITS, parts, strict=True) for place in part.tolist()}
    return {split: [i for i, one in enumerate(samples) if chosen[one.owner] == split] for split in SPLITS}


def stretches(samples: Sequence[Sample], window: int, stride: int, horizon: int) -> list[int] | None:
    """(n,) of windows that overlap, with their targets, the stretch of their sequence that each begins in, as long as
    such a window; None where none does. Resampled one by one, they would seem to be more than they are (Kunsch 1989,
    "The Jackknife and the Bootstrap for General Stationary Observations").
    """
    length = window + horizon
    if stride >= length:
        return None
    numbers: dict[tuple[int, int], int] = {}
    return [numbers.setdefault((one.series, one.start // length), len(numbers)) for one in samples]


def crossing(samples: Sequence[Sample], places: Places) -> int:
    """Samples that are in no split, since they lie across a border."""
    return len(samples) - sum(map(len, places.values()))
