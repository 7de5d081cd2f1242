"""The files of `ftlab predict` as sequences, in the form that the network was trained on."""

import glob
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ftlab.errors import UserError, absent
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import Dialect
from ftlab.files.table_file import table_file
from ftlab.inputs.base import Unread
from ftlab.inputs.sequences.files import Long, LongFile, NpzFile, windows
from ftlab.inputs.sequences.gaps import cuts, inside
from ftlab.inputs.sequences.steps import Layout, Steps
from ftlab.inputs.sequences.times import shown
from ftlab.problems import Fault


def listed(
    inputs: str | Sequence[str], layout: Layout, token: str | None, names: tuple[str, ...], dialect: Dialect
) -> tuple[list[Unread], tuple[str, ...]]:
    """token, names: the columns that the network reads.

    One for each sequence, or window of one (the last ends it), in the order of the files and of their rows.
    """
    found: list[Unread] = []
    said: list[str] = []
    for text in [inputs] if isinstance(inputs, str) else inputs:
        paths = [text] if Path(text).exists() or not glob.has_magic(text) else sorted(glob.glob(text))
        if not paths:
            raise UserError(f"input={text}: names no file; give a CSV file of one row a step, or an .npz file")
        for path in paths:
            if path.endswith(".npz"):
                found += _of_arrays(path, token, names)
            else:
                rows, more = _of_rows(table_file(path, Path(), "input", dialect), layout, token, names)
                found, said = found + rows, said + more
    return found, tuple(said)


def _of_arrays(path: str, token: str | None, columns: tuple[str, ...]) -> list[Unread]:
    file = NpzFile(path, Path(), "input")
    arrays = file.arrays()
    for name, wanted in (("tokens", token), ("series", columns)):
        if wanted and name not in arrays:
            raise file.error("the array is missing", column=name, hint="The network was trained with it.")
    rows = file.sequences({name: array for name, array in arrays.items() if name != "series" or columns}, columns)
    return [Unread({"file": file.shown, "row": n}, partial(_given, one)) for n, one in enumerate(rows, start=1)]


def _of_rows(
    file: CsvFile, layout: Layout, token: str | None, names: tuple[str, ...]
) -> tuple[list[Unread], list[str]]:
    """What a file of rows holds, and what a person should know of how it was read."""

    def channels(columns: Sequence[str]) -> tuple[str, ...]:
        if missing := next((name for name in names if name not in columns), None):
            raise file.error(f"the column is missing; {absent(needed, columns, 'the file')}", column=missing)
        return names

    needed = [name for name in (layout.series, layout.time, token, *names) if name is not None]
    long = LongFile(file, layout, token, channels)
    whole, faults = long.read()
    found: list[Unread] = []
    for one in whole:
        named: dict[str, Any] = {"file": file.shown, **({"series": one.name} if layout.series else {})}
        window = layout.window or len(one.lines)
        starts = windows(len(one.lines), window, layout.stride)
        gaps = cuts(one.times, layout, long.dates) if layout.window else []
        for start in starts:
            across = inside(gaps, start, start + window - 1)
            part = one.steps.part(start, start + window) if across is None else _across(long, one, start, across)
            rows = {"rows": [one.lines[start], one.lines[start + window - 1]]} if layout.window else {}
            found.append(Unread({**named, **rows}, partial(_given, part)))
        if not starts:
            what = f"the sequence has {len(one.lines)} steps, and a window has {window}"
            short = file.fault("sequences are too short", what, one.lines[0], layout.series)
            found.append(Unread(named, partial(_given, short)))
    found += [Unread({"file": file.shown, "row": _row(fault)}, partial(_given, fault)) for fault in faults]
    return found, [problem.text for problem in long.problems]


def _across(file: LongFile, one: Long, start: int, cut: int) -> Fault:
    """A window from `start` on with a gap in time before the step `cut`."""
    apart, rows = shown(one.times[cut] - one.times[cut - 1], file.dates), one.lines[cut - 1 : cut + 1]
    what = f"the window crosses a gap in time: {apart} between rows {rows[0]} and {rows[1]}"
    hint = "The network has seen no window across one (data.gaps=drop)."
    return file.file.fault("windows cross a gap in time", what, one.lines[start], file.layout.time, hint)


def _given(one: Steps | Fault) -> Steps:
    if isinstance(one, Fault):
        raise UserError(one.reason)
    return one


def _row(fault: Fault) -> int:
    return int(fault.name.rpartition(" ")[2])
