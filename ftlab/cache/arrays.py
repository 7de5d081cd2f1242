"""One array in a file of numpy's format, and a .json beside it that says what it is."""

import json
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy


def read_about(file: Path) -> dict[str, Any]:
    """What is written beside an entry; empty if that cannot be read."""
    try:
        said = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def shape_of(rows: np.ndarray) -> dict[str, Any]:
    """What the .json must say of the rows."""
    return {"shape": list(rows.shape), "dtype": rows.dtype.str}


def open_whole(file: Path) -> np.memmap:
    """The rows of a file, read-only and mapped.

    Raises: OSError where it is not there or cannot be read, ValueError and others where it is not whole.
    """
    rows = npy.open_memmap(file, mode="r")  # refuses arrays of objects, which are pickles
    about = read_about(file)
    if {name: about.get(name) for name in ("shape", "dtype")} != shape_of(rows):
        raise ValueError(f"it is {rows.dtype.str} {list(rows.shape)}, and its .json says another thing, or nothing")
    if file.stat().st_size != rows.offset + rows.nbytes:
        raise ValueError("it is longer than its header says")
    return rows


def open_to_write(file: Path) -> np.memmap:
    """The rows of a file that has its whole size; several processes may write into one."""
    return npy.open_memmap(file, mode="r+")


def header(shape: Sequence[int], dtype: np.dtype) -> bytes:
    """What a .npy file begins with. Raises: ValueError for objects, which would need a pickle."""
    if dtype.hasobject:
        raise ValueError(f"dtype {dtype}: holds objects; expected numbers")
    buffer = BytesIO()
    npy.write_array_header_1_0(
        buffer, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(map(int, shape))}
    )
    return buffer.getvalue()


def reserve(descriptor: int, size: int) -> None:
    """Take the room of a file on the disk now. Raises: OSError where there is not enough."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
