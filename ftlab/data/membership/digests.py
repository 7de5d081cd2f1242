"""Digests by which samples are known again: of raw inputs, by their kind, and of targets.

Shapes: n samples, k labels or numbers.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ftlab.files.dates import date
from ftlab.files.numbers import number
from ftlab.inputs.base import Inputs
from ftlab.inputs.images.files import ArrayImages, ImageFiles
from ftlab.inputs.sequences.steps import Steps
from ftlab.inputs.views import Selected
from ftlab.targets.base import Column, Target

Content = Literal["none", "size", "bytes"]  # what is looked at of a file, beside its path


def as_it_is(raw: Any) -> Any:
    return raw


def digest(said: bytes) -> int:
    """64 bits: among a million samples two that differ have the same one with a chance of 1 in 37 million."""
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "little")


def of_inputs(
    inputs: Inputs, places: Sequence[int], root: str | None = None, look: Callable[[Any], Any] = as_it_is
) -> np.ndarray | None:
    """(n,) uint64 of the inputs at `places`: what each is known by, wherever in the data it is.

    Of a file its path, relative to `root`; of all else the values that `look` gives of it. None for a data set of the
    user's own, which may give other values each time.
    """
    match inputs:
        case Selected():
            return of_inputs(inputs.inputs, [inputs.indices[place] for place in places], root, look)
        case ImageFiles():
            above = os.path.abspath(root) if root is not None else None
            said = [os.fsencode(_below(above, inputs.paths[place])) for place in places]
        case ArrayImages():
            shape = repr(tuple(inputs.pixels.shape[1:])).encode()
            said = [shape + inputs.pixels[place].numpy().tobytes() for place in places]
        case list():
            told = [_values(look(inputs[place])) for place in places]
            said = [one for one in told if one is not None]
            if len(said) < len(told):
                return None
        case _:
            return None
    return _array(map(digest, said))


def of_contents(inputs: Inputs, places: Sequence[int], content: Content) -> np.ndarray:
    """(n,) uint64: what may change in a sample that is known again; 0 for all that is no file."""
    match inputs:
        case Selected():
            return of_contents(inputs.inputs, [inputs.indices[place] for place in places], content)
        case ImageFiles() if content != "none":
            return _array(_file(inputs.paths[place], content) for place in places)
    return np.zeros(len(places), np.uint64)


def of_targets(target: Target, column: Column) -> np.ndarray:
    """(n,) uint64 of the targets of a split."""
    return _array(digest(text.encode(errors="surrogatepass")) for text in target.written(column))


def by_index(places: Sequence[int], whose: str) -> np.ndarray:
    """(n,) uint64 for inputs that are known by nothing but their place in `whose`."""
    return _array(digest(f"{whose} {place}".encode()) for place in places)


def _array(found: Any) -> np.ndarray:
    return np.fromiter(found, np.uint64)


def _below(root: str | None, path: str) -> str:
    """The path relative to the root, so that data that is moved as a whole is still known."""
    full = os.path.abspath(path)
    if root is None:
        return full
    return full[len(root) + 1 :] if full.startswith(root + os.sep) else os.path.relpath(full, root)


def _file(path: str, content: Content) -> int:
    try:
        size = os.stat(path).st_size
        if content == "size":
            return digest(str(size).encode())
        state = blake2b(str(size).encode(), digest_size=8)
        with open(path, "rb") as stream:
            while block := stream.read(2**20):
                state.update(block)
    except OSError:  # the check of data says so
        return digest(b"unreadable")
    return int.from_bytes(state.digest(), "little")


def _values(raw: Any) -> bytes | None:
    if isinstance(raw, Mapping):
        return repr([(str(name), _cell(cell)) for name, cell in sorted(raw.items())]).encode()
    if isinstance(raw, Steps):
        numbers = b"" if raw.series is None else np.ascontiguousarray(raw.series, np.float64).tobytes()
        return repr((raw.tokens, raw.channels)).encode() + numbers
    try:
        return repr(_plain(raw)).encode(errors="surrogatepass")
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    """Nested values as what `repr` tells apart. Raises: TypeError for an object of which nobody knows what it holds."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case np.ndarray() | Tensor():
            array = np.ascontiguousarray(value)
            if array.dtype.hasobject:
                raise TypeError("an array of objects")
            return array.dtype.str, array.shape, blake2b(array.tobytes(), digest_size=16).hexdigest()
        case list() | tuple():
            return [_plain(one) for one in value]
        case Mapping():
            return sorted((str(name), _plain(one)) for name, one in value.items())
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__qualname__, [_plain(getattr(value, field.name)) for field in fields(value)]
    raise TypeError(f"{type(value).__name__} is no plain value")


def _cell(cell: Any) -> Any:
    """A number or a date however it is written: one text more in a column makes texts of all its cells."""
    if type(cell) is float:  # most are
        return cell
    if isinstance(cell, str):
        return _text(cell)
    if isinstance(cell, datetime):  # of a DataFrame
        return cell.isoformat()
    return float(cell) if isinstance(cell, int | float | np.number) else cell


@lru_cache(maxsize=2**16)
def _text(cell: str) -> float | str | None:
    try:
        return number(cell)
    except ValueError:
        found = date(cell.strip(), "year") or (date(cell.strip(), "day") if "." in cell else None)
        return found.isoformat() if found else cell
