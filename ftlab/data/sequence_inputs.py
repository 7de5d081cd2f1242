"""The files of `ftlab predict` as sequences, in the form that the network was trained on."""

import glob
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ftlab.data.base import Unread
from ftlab.data.problems import Fault
from ftlab.data.sequence_file import LongFile, NpzFile, windows
from ftlab.data.sequences import SequencePreprocessing, Steps
from ftlab.data.table_file import table_file
from ftlab.errors import UserError, choices


def listed(own: SequencePreprocessing, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
    """One for each sequence, or window of one (the last ends it), in the order of the files and of their rows."""
    found: list[Unread] = []
    for text in [inputs] if isinstance(inputs, str) else inputs:
        paths = [text] if Path(text).exists() or not glob.has_magic(text) else sorted(glob.glob(text))
        if not paths:
            raise UserError(f"input={text}: names no file; give a CSV file of one row a step, or an .npz file")
        for path in paths:
            found += _of_arrays(own, path) if path.endswith(".npz") else _of_rows(own, path)
    return found, ()


def _of_arrays(own: SequencePreprocessing, path: str) -> list[Unread]:
    file = NpzFile(path, Path(), "input")
    arrays = file.arrays()
    for name, wanted in (("tokens", own.token), ("series", own.channels)):
        if wanted and name not in arrays:
            raise file.error("the array is missing", column=name, hint="The network was trained with it.")
    rows = file.sequences(
        {name: array for name, array in arrays.items() if name != "series" or own.channels}, own.names
    )
    return [Unread({"file": file.shown, "row": n}, partial(_given, one)) for n, one in enumerate(rows, start=1)]


def _of_rows(own: SequencePreprocessing, path: str) -> list[Unread]:
    file = table_file(path, Path(), "input")

    def channels(columns: Sequence[str]) -> tuple[str, ...]:
        for name in own.names:
            if name not in columns:
                raise file.error("the column is missing", column=name, hint=choices(name, columns))
        return own.names

    whole, faults = LongFile(file, own.layout, own.token, channels).read()
    found: list[Unread] = []
    for one in whole:
        named: dict[str, Any] = {"file": file.shown, **({"series": one.name} if own.layout.series else {})}
        window = own.layout.window or len(one.lines)
        starts = windows(len(one.lines), window, own.layout.stride)
        for start in starts:
            rows = {"rows": [one.lines[start], one.lines[start + window - 1]]} if own.layout.window else {}
            found.append(Unread({**named, **rows}, partial(_given, one.steps.part(start, start + window))))
        if not starts:
            what = f"the sequence has {len(one.lines)} steps, and a window has {window}"
            short = file.fault("sequences are too short", what, one.lines[0], own.layout.series)
            found.append(Unread(named, partial(_given, short)))
    return found + [Unread({"file": file.shown, "row": _row(fault)}, partial(_given, fault)) for fault in faults]


def _given(one: Steps | Fault) -> Steps:
    if isinstance(one, Fault):
        raise UserError(one.reason)
    return one


def _row(fault: Fault) -> int:
    return int(fault.name.rpartition(" ")[2])
