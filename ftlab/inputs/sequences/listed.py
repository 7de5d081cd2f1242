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
from ftlab.problems import Fault, Problem


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
    across: list[tuple[Long, int]] = []  # of each window with a gap in time, its sequence and the step behind the gap
    for one in whole:
        named: dict[str, Any] = {"file": file.shown, **({"series": one.name} if layout.series else {})}
        window = layout.window or len(one.lines)
        starts = windows(len(one.lines), window, layout.stride)
        gaps = cuts(one.times, layout, long.dates) if layout.window else []
        for start in starts:
            if (cut := inside(gaps, start, start + window - 1)) is not None:
                across.append((one, cut))
                continue
            part = one.steps.part(start, start + window)
            rows = {"rows": [one.lines[start], one.lines[start + window - 1]]} if layout.window else {}
            found.append(Unread({**named, **rows}, partial(_given, part)))
        if not starts:
            what = f"the sequence has {len(one.lines)} steps, and a window has {window}"
            short = file.fault("sequences are too short", what, one.lines[0], layout.series)
            found.append(Unread(named, partial(_given, short)))
    found += [Unread({"file": file.shown, "row": _row(fault)}, partial(_given, fault)) for fault in faults]
    lost = _left_out(long, across)
    if lost and not found:
        raise file.error(f"all {lost[0].text}", column=layout.time)
    return found, [problem.text for problem in (*long.problems, *lost)]


def _left_out(file: LongFile, across: Sequence[tuple[Long, int]]) -> list[Problem]:
    """The windows with a gap in time before a step of theirs, as the network has seen none."""
    if not across:
        return []
    one, cut = across[0]
    apart, rows = shown(one.times[cut] - one.times[cut - 1], file.dates), one.lines[cut - 1 : cut + 1]
    example = f"(for example {apart} between rows {rows[0]} and {rows[1]})"
    why = "training had none across one (data.gaps=drop)"
    return [Problem(f"windows cross a gap in time {example} and are left out", "note", len(across), (), why)]


def _given(one: Steps | Fault) -> Steps:
    if isinstance(one, Fault):
        raise UserError(one.reason)
    return one


def _row(fault: Fault) -> int:
    return int(fault.name.rpartition(" ")[2])
