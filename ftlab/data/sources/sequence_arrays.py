"""Sequences out of the arrays of an .npz file, with what is to be predicted for each.

Shapes: n sequences, k targets.
"""

import math
from typing import Any

import numpy as np

from ftlab.data.sources.sequence_rows import Wanted
from ftlab.data.sources.sequence_splits import Found, Sample
from ftlab.data.sources.split_names import split_of
from ftlab.errors import UserError
from ftlab.files.numbers import LARGEST
from ftlab.inputs.sequences.files import NpzFile
from ftlab.problems import Fault
from ftlab.targets.cells.base import Cells
from ftlab.targets.cells.classes import ClassCells
from ftlab.targets.cells.numbers import NumberCells


def read_arrays(wanted: Wanted, file: NpzFile, missing: str) -> Found:
    """Raises: UserError, naming file, row and array, for what is wrong as a whole."""
    _check_keys(wanted, file)
    arrays = file.arrays()
    if ("targets" in arrays) == ("labels" in arrays):
        raise file.error("either 'targets' (n,) or (n, k), numbers, or 'labels' (n,) say what to predict")
    for name in ("split", "labels"):
        if name in arrays and arrays[name].ndim != 1:
            raise file.error(f"the shape is {arrays[name].shape}; accepted: (n,)", column=name)
    cells: Cells
    if "targets" in arrays:
        cells = NumberCells(file, _target_names(wanted, file, arrays["targets"]), missing, "sequences")
    else:
        cells = ClassCells(file, "labels", missing, "sequences", wanted.missing_labels)
    found: list[Sample | Fault] = []
    for row, steps in enumerate(file.sequences(arrays, wanted.columns or ())):
        value = steps if isinstance(steps, Fault) else _value(file, row, arrays, cells)
        if isinstance(steps, Fault) or isinstance(value, Fault):
            found.append(steps if isinstance(steps, Fault) else value)  # type: ignore[arg-type]
            continue
        split = frozenset((_split(file, row, arrays),))
        found.append(Sample(file.row(row + 1), row + 1, row, steps, (0.0, 0.0), split, value))
    samples = [one for one in found if isinstance(one, Sample)]
    faults = [one for one in found if isinstance(one, Fault)]
    return Found(samples, faults, [], [], "tokens" if "tokens" in arrays else None, cells, True)


def _check_keys(wanted: Wanted, file: NpzFile) -> None:
    layout = wanted.layout
    told = {"series_column": layout.series, "time_column": layout.time, "window": layout.window,
            "group_column": wanted.group_column,
            "token_column": wanted.token_column, "drop": wanted.drop, "label_column": wanted.label_column}  # fmt: skip
    for key, value in told.items():
        if value is not None:
            raise UserError(
                f"data.{key}={value}: is for a CSV file; each row of the arrays of {file.shown} is a sequence"
            )
    if wanted.split_column not in (None, "split"):
        raise UserError(f"data.split_column={wanted.split_column}: of an .npz file, it is the array split")


def _target_names(wanted: Wanted, file: NpzFile, targets: np.ndarray) -> tuple[str, ...]:
    if targets.ndim > 2:
        raise file.error(f"the shape is {targets.shape}; accepted: (n,) or (n, k)", column="targets")
    k = targets.shape[1] if targets.ndim == 2 else 1
    names = wanted.target_columns or (("target",) if k == 1 else tuple(f"target{i + 1}" for i in range(k)))
    if len(names) != k:
        raise file.error(f"{k} numbers for the {len(names)} names of data.target_columns", column="targets")
    return names


def _value(file: NpzFile, row: int, arrays: dict[str, np.ndarray], cells: Cells) -> Any | Fault:
    if "labels" in arrays:
        return cells.value(row + 1, {"labels": str(arrays["labels"][row])})
    values = np.atleast_1d(arrays["targets"][row]).astype(np.float64).tolist()
    bad = [value for value in values if abs(value) > LARGEST]
    if bad:
        what = f"{bad[0]:g} is infinite or too large, above {LARGEST:g}"
        return file.fault("sequences have a target that is no number", what, row + 1, "targets")
    return tuple(None if math.isnan(value) else value for value in values)


def _split(file: NpzFile, row: int, arrays: dict[str, np.ndarray]) -> str:
    found = split_of(file, row + 1, str(arrays["split"][row]), "split") if "split" in arrays else "train"
    if isinstance(found, Fault):
        raise UserError(found.reason)
    return found
