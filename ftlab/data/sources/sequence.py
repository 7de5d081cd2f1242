"""Sequences of tokens or numbers from a file, with numbers or a class to predict.

Shapes: n sequences, t steps, c channels, k targets.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch

from ftlab.data.base import Drawn, Samples, Source, Splits
from ftlab.data.checks.repeats import overlapping
from ftlab.data.groups import numbered
from ftlab.data.sources.sequence_arrays import read_arrays
from ftlab.data.sources.sequence_rows import RowSamples, Wanted
from ftlab.data.sources.sequence_splits import Found, Places, Sample, by_column, by_owner, by_time, crossing, stretches
from ftlab.data.sources.split_names import SPLITS
from ftlab.data.splits import complete, shares_of
from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import FOUND, dialect
from ftlab.files.folders import existing_folder
from ftlab.files.table_file import table_file
from ftlab.inputs.sequences.files import NpzFile
from ftlab.inputs.sequences.levels import Windows, chosen
from ftlab.inputs.sequences.preprocessing import fit
from ftlab.inputs.sequences.steps import Layout
from ftlab.inputs.sequences.stored import LONGEST
from ftlab.targets.base import Column, selected
from ftlab.targets.cells.base import Raw, Read

WIDEST = 4096  # numbers of a sequence that is read as a whole: the closed form takes all of them


class Sequences(Source):
    """A table of one row a step (.csv, .parquet), or arrays (.npz: tokens (n, t) or series (n, t, c); mask (n, t);
    targets (n,) or (n, k), or labels (n,); split (n,)).

    The settings are those of conf/data/sequence.yaml. A window of a long sequence has the targets of the row `horizon`
    steps behind its end; a whole sequence has one value in each target column.
    Raises (read): UserError, naming file, row and column.
    """

    def __init__(
        self,
        root: str,
        file: str,
        series_column: str | None,
        time_column: str | None,
        token_column: str | None,
        columns: Sequence[str] | None,
        target_columns: Sequence[str] | None,
        label_column: str | None,
        window: int | None,
        stride: int,
        horizon: int,
        max_length: int | None,
        rare: int,
        missing: Literal["error", "drop"],
        split_column: str | None,
        order: Literal["random", "time"],
        split: Sequence[float],
        missing_labels: Sequence[str] | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        drop: Sequence[str] | None = None,
        gaps: Literal["drop", "keep"] = "keep",  # runs of before there were gaps kept them
        group_column: str | None = None,
        whole: Literal["auto", False] = False,  # as were all before
        level: Literal["auto", "keep", "last"] = "keep",
    ) -> None:
        self.root, self.file = root, file
        self.dialect = dialect(delimiter, decimal, encoding)
        self.layout = Layout(series_column, time_column, window, stride)
        names = tuple(target_columns or ())
        self.wanted = Wanted(
            self.layout, token_column, columns, names, label_column, horizon, split_column, missing_labels, gaps, drop,
            group_column,
        )  # fmt: skip
        if group_column and order == "time" and split_column is None:
            why = "order=time gives a part of each to every split; use data.order=random, or no group_column"
            raise UserError(f"data.group_column={group_column}: keeps groups whole, and data.{why}")
        self.max_length = max_length
        self.rare = rare
        self.missing = missing
        self.order = order
        self.split = split
        self.whole, self.level = whole, level

    def survey(self, seed: int) -> Splits:
        folder = existing_folder(self.root)
        if self.file.endswith(".npz"):
            if self.dialect != FOUND:
                raise UserError("data.delimiter, data.decimal and data.encoding are for text files; .npz is none")
            arrays = NpzFile(self.file, folder)
            return _Reading(self, arrays, read_arrays(self.wanted, arrays, self.missing)).splits(seed)
        table = table_file(self.file, folder, dialect=self.dialect)
        return _Reading(self, table, RowSamples(self.wanted, table, self.missing).read()).splits(seed)


class _Reading:
    """What a file of `Sequences` held, on its way to splits."""

    def __init__(self, settings: Sequences, file: CsvFile, found: Found) -> None:
        self.settings, self.file, self.found = settings, file, found

    def splits(self, seed: int) -> Splits:
        samples, faults = self.found.samples, list(self.found.faults)
        if not samples:
            raise UserError(faults[0].reason) if faults else self.file.error("the file has no sequences")
        read = self.found.cells.read([Raw(one.line, "train", one.value) for one in samples])
        samples = [samples[place] for place in read.kept]
        train, val, test, more = self._parts(samples, read, seed)
        faults += read.faults
        s, layout = self.settings, self.found.layout or self.settings.layout
        whole = self._whole(samples)
        levels, said = self._levels(train, val, whole)
        found = Splits(train, val, test, read.target, (*read.warnings, *more, *said), read.problems, tuple(faults))
        learn = partial(fit, token=self.found.token, max_length=s.max_length, rare=s.rare, layout=layout)
        learn = partial(learn, whole=whole, levels=levels)
        found = replace(found, kind="sequence", fit=learn, problems=(*self.found.problems, *found.problems))
        # Windows lie in one split with all that overlaps them.
        also = overlapping(found) if self.found.whole and s.learned else []
        return replace(found, problems=(*found.problems, *also))

    def _whole(self, samples: list[Sample]) -> bool:
        """Whether sequences are of numbers alone, and not too many of them for a linear path from each."""
        longest = min(max(len(one.steps) for one in samples), self.settings.max_length or LONGEST)
        series = samples[0].steps.series
        fits = series is not None and longest * series.shape[1] <= WIDEST
        return self.settings.whole == "auto" and self.found.token is None and fits

    def _levels(
        self, train: Samples, val: Samples | None, whole: bool
    ) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
        """Which channels keep their level (None: all, as they are), and what is said of it.

        Raises: UserError for data.level=last of sequences that are not read as a whole.
        """
        s, names = self.settings, train.inputs[0].channels if len(train) else ()
        own = tuple(names.index(name) for name in s.wanted.target_columns if name in names)
        if s.level == "last" and not whole:
            raise UserError("data.level=last: is of sequences of numbers that are read as a whole; use auto or keep")
        if s.level == "last":
            return own, ()
        forecast = self.by_time and own and whole and (s.layout.window or 0) > 1
        if s.level == "keep" or not forecast or not s.learned or val is None:
            return None, ()
        levels, said = chosen(_windows(train), _windows(val), own)
        return levels, (said,) if said else ()

    # --- splits

    def _parts(
        self, samples: list[Sample], read: Read, seed: int
    ) -> tuple[Samples, Samples | None, Samples | None, tuple[str, ...]]:
        """train, val, test and warnings."""
        s = self.settings
        places = self._places(samples, seed)
        lost = crossing(samples, places)
        said = (
            [f"{lost} of {len(samples)} {self._plural} lie across the border of two splits; left out"] if lost else []
        )
        train, *others = (self._chosen(samples, read.column, places.get(split, [])) for split in SPLITS)
        if s.learned:
            self.found.cells.check(read, [one.line for one in samples], places["train"])
        if self.by_owner:
            whole = self._chosen(samples, read.column, list(range(len(samples))))
            shares, groups = shares_of(s.split), tuple(numbered([str(one.owner) for one in samples]).tolist())
            train, *others = (
                replace(part, drawn=Drawn(whole, torch.tensor(places[split], dtype=torch.int64), shares, groups))
                for split, part in zip(SPLITS, (train, *others), strict=True)
            )
        val, test = (part if len(part) else None for part in others)
        if self.by_time or (val is not None and test is not None):
            return train, val, test, tuple(said)
        if not self.found.whole:
            return train, val, test, (*said, "windows overlap, so no other split is taken from train")
        train, val, test, more = complete(read.target, train, val, test, s.split, seed)
        if s.learned and train.groups is None:
            self.found.cells.check_drawn(read, s.split, sum(len(part) for part in (val, test) if part is not None))
        return train, val, test, (*said, *more)

    @property
    def by_time(self) -> bool:
        return self.settings.order == "time" and self.settings.wanted.split_column is None

    @property
    def by_owner(self) -> bool:
        """Whether a seed chooses which sequences or groups, with all their windows, are in a split."""
        return not self.by_time and not self.found.whole and self.settings.wanted.split_column is None

    @property
    def _plural(self) -> str:
        return "sequences" if self.found.whole else "windows"

    def _places(self, samples: list[Sample], seed: int) -> Places:
        """Raises: UserError for a split that gets nothing."""
        column, shares = self.settings.wanted.split_column, shares_of(self.settings.split)
        if self.by_time and not self.found.times:
            raise UserError(f"data.order=time: {self.file.shown} says nothing of time; its array split can")
        if self.by_time:
            places = by_time(samples, self.found.times, shares)
        elif column or self.found.whole:  # without a column all are of train, which `complete` splits
            places = by_column(samples)
        elif shares[0] < 1 and len({one.owner for one in samples}) < 3:
            what = "groups" if samples[0].group else "sequences"
            why = f"windows of fewer than 3 {what} would tell train what val and test hold"
            raise UserError(f"data.order=random: {why}; use data.order=time")
        else:
            places = by_owner(samples, shares, seed)
        wanted = dict(zip(SPLITS, shares, strict=True)) if self.by_time else {"train": float(self.settings.learned)}
        for split, share in wanted.items():
            if share and not places[split]:
                what = f"none of {len(samples)} {self._plural} lies wholly in {split}"
                hint = "Change data.split or data.window."
                raise self.file.error(what, column=column or self.settings.layout.time, hint=hint)
        return places

    def _chosen(self, samples: list[Sample], targets: Column, places: list[int]) -> Samples:
        inputs, names = [samples[place].steps for place in places], [samples[place].name for place in places]
        chosen, layout = torch.tensor(places, dtype=torch.int64), self.settings.layout
        groups, several = None, None
        if self.settings.wanted.group_column:
            groups = numbered([one.group for one in samples])[chosen]
        if layout.window is not None:
            several = stretches(samples, layout.window, layout.stride, self.settings.wanted.horizon)
        own = None if several is None else torch.tensor(several, dtype=torch.int64)[chosen]
        return Samples(inputs, selected(targets, chosen), names, groups, own)


def _windows(samples: Samples) -> Windows:
    assert isinstance(samples.targets, torch.Tensor)  # numbers
    return Windows([samples.inputs[place] for place in range(len(samples))], samples.targets)
