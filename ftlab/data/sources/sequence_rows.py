"""Sequences, or windows of them, out of a table of one row a step, with what is to be predicted for each.

Shapes: t steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ftlab.data.sources.columns import matching
from ftlab.data.sources.listed import group_of
from ftlab.data.sources.sequence_splits import Found, Sample
from ftlab.data.sources.split_names import split_of
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile
from ftlab.inputs.sequences.files import Long, LongFile, windows
from ftlab.inputs.sequences.gaps import cuts, inside, learned, parts
from ftlab.inputs.sequences.steps import Layout
from ftlab.inputs.sequences.times import shown
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.cells.base import Cells
from ftlab.targets.cells.classes import ClassCells
from ftlab.targets.cells.numbers import NumberCells


@dataclass(frozen=True)
class Wanted:
    """What is to be read; as the keys of conf/data/sequence.yaml."""

    layout: Layout
    token_column: str | None
    columns: Sequence[str] | None
    target_columns: tuple[str, ...]
    label_column: str | None
    horizon: int
    split_column: str | None
    missing_labels: Sequence[str] | None = None
    gaps: Literal["drop", "keep"] = "keep"
    drop: Sequence[str] | None = None
    group_column: str | None = None


class RowSamples:
    """One reading of a table."""

    def __init__(self, wanted: Wanted, file: CsvFile, missing: str) -> None:
        self.wanted, self.file = wanted, file
        plural = "sequences" if wanted.layout.window is None else "windows"
        self.cells: Cells = (
            NumberCells(file, wanted.target_columns, missing, plural)
            if wanted.target_columns
            else ClassCells(file, wanted.label_column or "", missing, plural, wanted.missing_labels)
        )

    def read(self) -> Found:
        """Raises: UserError, naming file, row and column, for what is wrong as a whole."""
        s = self.wanted
        long = LongFile(self.file, s.layout, s.token_column, self._channels)
        series, faults = long.read()
        times = [time for one in series for time in one.times]
        layout = s.layout
        cut: list[list[Sample] | Fault]
        if s.layout.window is None:
            cut, problems = [self._sequence(place, one) for place, one in enumerate(series)], []
        else:
            problems = self._short(series)
            if s.gaps == "drop" and s.layout.time:
                layout = learned(s.layout, [one.times for one in series], long.dates)
            gaps = [cuts(one.times, layout, long.dates) for one in series]
            starts = [self._starts(one, places) for one, places in zip(series, gaps, strict=True)]
            problems += self._across(series, gaps, starts, long.dates)
            cut = [self._windows(place, one, starts[place]) for place, one in enumerate(series)]
        samples = [sample for found in cut if not isinstance(found, Fault) for sample in found]
        faults += [found for found in cut if isinstance(found, Fault)]
        problems = [*long.problems, *problems]
        return Found(samples, faults, problems, times, s.token_column, self.cells, s.layout.window is None, layout)

    def _short(self, series: Sequence[Long]) -> list[Problem]:
        """Sequences that hold no window. Raises: UserError if none does."""
        s = self.wanted
        short = [one for one in series if not self._starts(one)]
        if series and len(short) == len(series):
            most = max(len(one.lines) for one in series)
            what = (
                f"a window of {s.layout.window} steps and a target {s.horizon} steps on is empty: the longest sequence "
                f"has {most} rows"
            )
            raise self.file.error(what, series[0].lines[0], s.layout.series, "Lower data.window or data.horizon.")
        names = [self.file.row(one.lines[0]) for one in short]
        kind = f"sequences have fewer than {self._window + s.horizon} rows, too few for a window"
        return problem(kind, "warning", names, "left out")

    @property
    def _window(self) -> int:
        return self.wanted.layout.window or 0

    def _channels(self, columns: Sequence[str]) -> list[str]:
        """The columns of numbers; the past of a target is one of them, where it is not what is to be predicted."""
        s = self.wanted
        if bool(s.target_columns) == bool(s.label_column):
            raise UserError(
                f"data=sequence: say what to predict by data.target_columns=[...] (numbers) or data.label_column=... "
                f"(a class), one of the two; {self.file.shown} has the columns {', '.join(columns)}."
            )
        self.cells.check_columns(columns)
        for key, name in (("split_column", s.split_column), ("group_column", s.group_column)):
            if name is not None and name not in columns:
                raise self.file.error(f"data.{key}={name} is no column", hint=choices(name, columns))
        past = s.layout.window is not None and s.horizon > 0
        own = {s.layout.series, s.layout.time, s.token_column, s.label_column, s.split_column, s.group_column}
        own |= set() if past else set(s.target_columns)
        told = [name for name in s.columns or () if name in own]
        if told:
            raise UserError(f"data.columns: {told[0]} is a target, or said by another key; the network may not see it.")
        chosen = columns if s.columns is None else matching(self.file, "columns", s.columns, columns)
        dropped = matching(self.file, "drop", s.drop or (), columns)
        seen = [name for name in chosen if name not in own and name not in dropped]
        if not seen and s.token_column is None:
            raise self.file.error("no column is left for the network to see")
        return seen

    def _starts(self, one: Long, gaps: Sequence[int] = ()) -> list[int]:
        """Where windows begin that lie with their target in one part of a sequence, cut at `gaps`."""
        s = self.wanted
        return [
            first + start
            for first, end in parts(len(one.lines), gaps)
            for start in windows(end - first, self._window, s.layout.stride, s.horizon)
        ]

    def _across(
        self, series: Sequence[Long], gaps: Sequence[Sequence[int]], starts: Sequence[Sequence[int]], dates: bool
    ) -> list[Problem]:
        """Windows that would cross a gap in time. Raises: UserError if there are no others."""
        last = self._window - 1 + self.wanted.horizon  # the target, from the start of a window
        found = [
            (one, place)
            for one, places in zip(series, gaps, strict=True)
            for start in (self._starts(one) if places else [])
            if (place := inside(places, start, start + last)) is not None
        ]
        if not found:
            return []
        one, place = found[0]
        rows = f"rows {one.lines[place - 1]} and {one.lines[place]}"
        example = f"(for example {shown(one.times[place] - one.times[place - 1], dates)} between {rows})"
        advice = "data.gaps=keep keeps them"
        if not any(starts):
            what = f"all {len(found)} windows with their targets cross a gap in time {example}"
            raise self.file.error(what, column=self.wanted.layout.time, hint=f"Lower data.window; {advice}.")
        return [Problem(f"windows cross a gap in time {example} and are left out", "warning", len(found), (), advice)]

    def _sequence(self, place: int, one: Long) -> list[Sample] | Fault:
        """A whole sequence, whose rows must not contradict each other."""
        value: Any = None
        line = one.lines[0]
        for at, record in zip(one.lines, one.records, strict=True):
            found = self.cells.value(at, record)
            if isinstance(found, Fault):
                return found
            value, odd = self._joined(one, at, found if value is None else value, found)
            if odd:
                return odd
        splits, group = self._splits(one, 0, len(one.lines)), self._group(one)
        if isinstance(splits, Fault) or isinstance(group, Fault):
            return splits if isinstance(splits, Fault) else group  # type: ignore[return-value]
        name = f"{self.file.row(line)}" + (f" ({one.name})" if one.name else "")
        return [Sample(name, line, place, one.steps, (one.times[0], one.times[-1]), splits, value, group)]

    def _joined(self, one: Long, line: int, before: Any, here: Any) -> tuple[Any, Fault | None]:
        """What two rows of one sequence say of its target, where one may lack it; and a fault where they differ."""
        several = isinstance(before, tuple)
        pairs = list(zip(before, here, strict=True)) if several else [(before, here)]
        for column, (old, new) in zip(self.cells.columns, pairs, strict=True):
            if not _lacks(old) and not _lacks(new) and old != new:
                what = f"the target is {new}, and {old} in a row before" + (f" of '{one.name}'" if one.name else "")
                hint = "A sequence has one target; data.window=... cuts a long one into parts with one each."
                fault = self.file.fault("rows of one sequence have targets that differ", what, line, column, hint)
                return before, fault
        joined = tuple(new if _lacks(old) else old for old, new in pairs)
        return joined if several else joined[0], None

    def _windows(self, place: int, one: Long, starts: Sequence[int]) -> list[Sample] | Fault:
        """The windows of a sequence, each with the targets of a row at or behind its end."""
        found: list[Sample] = []
        group = self._group(one)
        if isinstance(group, Fault):
            return group
        for start in starts:
            stop = start + self._window
            goal = stop - 1 + self.wanted.horizon
            value, splits = self.cells.value(one.lines[goal], one.records[goal]), self._splits(one, start, goal + 1)
            if isinstance(value, Fault) or isinstance(splits, Fault):
                return value if isinstance(value, Fault) else splits  # type: ignore[return-value]
            name = f"{self.file.row(one.lines[start])} to {one.lines[stop - 1]}" + (
                f" ({one.name})" if one.name else ""
            )
            span, steps = (one.times[start], one.times[goal]), one.steps.part(start, stop)
            found.append(Sample(name, one.lines[goal], place, steps, span, splits, value, group, start))
        return found

    def _group(self, one: Long) -> str | Fault:
        """What all rows of a sequence say that it belongs to; "" without a column."""
        column, before = self.wanted.group_column, ""
        for line, record in zip(one.lines, one.records, strict=True):
            group = group_of(self.file, line, record.get(column or ""), column)
            if isinstance(group, Fault):
                return group
            if before and group != before:
                what = f"the group is {group}, and {before} in a row before" + (f" of '{one.name}'" if one.name else "")
                return self.file.fault("rows of one sequence have groups that differ", what, line, column)
            before = group
        return before

    def _splits(self, one: Long, start: int, stop: int) -> frozenset[str] | Fault:
        column = self.wanted.split_column
        if column is None:
            return frozenset(("train",))
        found = set()
        for line, record in zip(one.lines[start:stop], one.records[start:stop], strict=True):
            said = split_of(self.file, line, record[column], column)
            if isinstance(said, Fault):
                return said
            found.add(said)
        return frozenset(found)


def _lacks(value: Any) -> bool:
    return value is None or value == ""
