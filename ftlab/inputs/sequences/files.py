"""Sequences out of files: a table of one row a step, or the arrays of an .npz file.

Shapes: n sequences, t steps, c channels.
"""

import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ftlab.errors import choices
from ftlab.files.csv_file import NO_ROWS, CsvFile
from ftlab.files.dates import date
from ftlab.files.numbers import number
from ftlab.files.text_table import Record
from ftlab.inputs.sequences.steps import Layout, Steps, token_text
from ftlab.inputs.sequences.times import Clock, Time, clock
from ftlab.problems import Fault, Problem

INPUTS = ("tokens", "series")
ARRAYS = (*INPUTS, "mask", "targets", "labels", "split")  # what an .npz file may hold
# What they may hold, by numpy's letters.
KINDS = {"tokens": "iuU", "series": "fiu", "mask": "b", "targets": "fiu", "labels": "iuU", "split": "U"}
WORDS = {"i": "whole numbers", "U": "texts", "f": "numbers", "b": "true or false"}
Line = tuple[int, Record]  # of the file, and its cells


@dataclass(frozen=True)
class Long:
    """One sequence of a file of one row a step, in the order of time."""

    name: str
    lines: tuple[int, ...]  # (t,) of the file
    records: tuple[Record, ...]  # (t,)
    times: tuple[Time, ...]  # (t,) in nanoseconds of dates, or as given; without a column the place of the row
    steps: Steps


class LongFile:
    """`choose` names the columns of numbers, given all columns of the file; it raises UserError for wrong ones."""

    def __init__(
        self, file: CsvFile, layout: Layout, token: str | None, choose: Callable[[Sequence[str]], Sequence[str]]
    ) -> None:
        self.file, self.layout, self.token, self.choose = file, layout, token, choose
        self.channels: tuple[str, ...] = ()
        self.clock: Clock | None = None  # of the file that was read, where it has a column of times
        self.problems: tuple[Problem, ...] = ()  # what reading the file found

    @property
    def dates(self) -> bool:
        return self.clock is not None and self.clock.dates

    def read(self) -> tuple[list[Long], list[Fault]]:
        """The sequences in the order of their first rows, and the first fault of each that cannot be used."""
        table = self.file.read()
        self._check_columns(table.columns)
        self.problems = table.problems
        if not table.rows:
            raise self.file.error(NO_ROWS)
        if self.layout.time:
            cells = [(line, record[self.layout.time]) for line, record in table.good()]
            self.clock = clock(self.file, self.layout.time, cells)
        groups: dict[str, list[Line]] = {}
        torn: dict[str, Fault] = {}  # the first row of a series that has not a cell for each column
        for line, row in table.rows:
            record = table.torn[line] if isinstance(row, Fault) else row
            name = record.get(self.layout.series or "", "").strip()
            groups.setdefault(name, []).append((line, record))
            if isinstance(row, Fault):
                torn.setdefault(name, row)
        found = [torn.get(name) or self._series(name, group) for name, group in groups.items()]
        return [one for one in found if isinstance(one, Long)], [one for one in found if isinstance(one, Fault)]

    def _check_columns(self, columns: Sequence[str]) -> None:
        for key, name in (("series", self.layout.series), ("time", self.layout.time), ("token", self.token)):
            if name is not None and name not in columns:
                what = f"the column is missing (data.{key}_column)"
                raise self.file.error(what, column=name, hint=choices(name, columns))
        self.channels = tuple(self.choose(columns))

    def _series(self, name: str, rows: Sequence[Line]) -> Long | Fault:
        if self.layout.series and not name:
            return self.file.fault("rows are of no series", "the series is missing", rows[0][0], self.layout.series)
        steps: list[tuple[Time, int, Record, list[float], str]] = []
        for place, (line, record) in enumerate(rows):
            found = self._step(place, line, record)
            if isinstance(found, Fault):
                return found
            steps.append(found)
        steps.sort(key=lambda step: step[0])
        for before, after in pairwise(steps):
            if before[0] == after[0]:
                what = f"the time is that of row {before[1]} too" + (f", of series '{name}'" if name else "")
                return self.file.fault("rows repeat a time", what, after[1], self.layout.time, "A step has one row.")
        times, lines, records, numbers, tokens = zip(*steps, strict=True)
        series = np.array(numbers, dtype=np.float64) if self.channels else None
        return Long(name, lines, records, times, Steps(tokens if self.token else None, series, self.channels))

    def _step(self, place: int, line: int, record: Record) -> tuple[Time, int, Record, list[float], str] | Fault:
        time: Time | Fault = self._time(line, record) if self.clock else place
        if isinstance(time, Fault):
            return time
        token = token_text(record[self.token]) if self.token else ""
        if self.token and not token:
            return self.file.fault("rows lack a token", "the token is missing", line, self.token)
        numbers = []
        for column in self.channels:
            try:
                value = number(record[column])
            except ValueError as error:
                hint = (
                    "accepted: a finite number, or nothing; data.columns=[...] names the columns that the network sees."
                )
                if self.layout.time is None and date(record[column].strip(), "year"):
                    hint = f"It is a date: data.time_column={column} puts the steps in its order."
                return self.file.fault("rows have a cell that is no number", str(error), line, column, hint)
            numbers.append(math.nan if value is None else value)
        return time, line, record, numbers, token

    def _time(self, line: int, record: Record) -> Time | Fault:
        assert self.clock
        found = self.clock.times.get(line)
        return self.clock.fault(line, record[self.clock.column]) if found is None else found


def windows(length: int, window: int, stride: int, ahead: int = 0) -> list[int]:
    """Where windows of a sequence begin whose target is `ahead` steps behind their end; the last one ends it."""
    last = length - window - ahead
    return list(range(last % stride, last + 1, stride)) if last >= 0 else []


# --- arrays


@dataclass(frozen=True)
class NpzFile(CsvFile):
    """Rows count from 1, and what CSV calls a column is an array."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What the file holds; nothing that a pickle could run is run.

        Raises: UserError if it is not there, is no .npz file, or its arrays do not fit together.
        """
        try:
            with open(self.existing(), "rb") as stream, np.load(stream, allow_pickle=False) as whole:
                found = {name: whole[name] for name in whole.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise self.error(f"not an .npz file of plain arrays ({said})") from error
        for name in found:
            if name not in ARRAYS:
                raise self.error("the array is unknown", column=name, hint=choices(name, ARRAYS))
        if not any(name in found for name in INPUTS):
            raise self.error("there is no array 'tokens' (n, t) and none 'series' (n, t, c)")
        self._check(found)
        return found

    def _check(self, found: dict[str, np.ndarray]) -> None:
        first = next(found[name] for name in INPUTS if name in found)
        n, t = (*first.shape, 0, 0)[:2]
        for name, array in found.items():
            dimensions = {"tokens": 2, "series": 3, "mask": 2}.get(name)
            if array.shape[:1] != (n,) or (dimensions and (array.ndim != dimensions or array.shape[1] != t)):
                what = f"the shape is {array.shape} beside {first.shape} of the steps"
                raise self.error(what, column=name, hint="accepted: tokens (n, t), series (n, t, c), mask (n, t).")
            if array.dtype.kind not in KINDS[name]:
                accepted = ", ".join(word for kind, word in WORDS.items() if kind in KINDS[name])
                raise self.error(f"the array holds {array.dtype}", column=name, hint=f"accepted: {accepted}.")
        if not n or not t:
            raise self.error("the arrays are empty")

    def sequences(self, found: dict[str, np.ndarray], channels: Sequence[str] = ()) -> list[Steps | Fault]:
        """The steps of each row that the mask keeps; `channels`: names for those of `series`, else 1, 2, ..."""
        series = found.get("series")
        names = tuple(channels) or tuple(f"series{i + 1}" for i in range(0 if series is None else series.shape[2]))
        if series is not None and len(names) != series.shape[2]:
            raise self.error(f"{series.shape[2]} numbers a step for {len(names)} names", column="series")
        return [self._row(row, found, names) for row in range(len(next(iter(found.values()))))]

    def _row(self, row: int, found: dict[str, np.ndarray], names: tuple[str, ...]) -> Steps | Fault:
        mask = found["mask"][row] if "mask" in found else slice(None)
        tokens = (
            tuple(token_text(token) for token in found["tokens"][row][mask].tolist()) if "tokens" in found else None
        )
        series = found["series"][row][mask].astype(np.float64) if "series" in found else None
        steps = Steps(tokens, series, names if series is not None else ())
        if not len(steps):
            return self.fault("sequences have no steps", "the mask leaves no step", row + 1, "mask")
        if series is not None and np.isinf(series).any():
            step = int(np.isinf(series).any(axis=1).argmax()) + 1
            return self.fault(
                "sequences hold an infinite number", f"step {step} holds an infinite number", row + 1, "series"
            )
        return steps
