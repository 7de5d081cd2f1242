"""Arrays on disk that are shared between runs and processes, each written whole or not at all.

An entry is <root>/features/<key>.npy in numpy's format, and <key>.json beside it that says what it is. The .json comes
first and the .npy is its end: where there is a .npy it is whole. Until then the rows lie in a .partial file, locked by
the process that writes it; a .partial file that nobody locks was left by a process that was killed.

Only files with such names are ever removed.
"""

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from errno import ENOSPC
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ftlab.cache.arrays import header, open_to_write, open_whole, read_about, reserve, shape_of
from ftlab.cache.locks import alive, alone, close, lock
from ftlab.disk import HELD, free, reason
from ftlab.errors import UserError
from ftlab.files.writing import write_text
from ftlab.places import root

KEY = "[0-9a-f]{32,64}"
NAME = re.compile(rf"\.?(?P<key>{KEY})(?P<kind>\.npy|\.json|\.\d+-[0-9a-f]{{8}}\.partial|\.json\.\d+\.tmp)")
ELSEWHERE = "FTLAB_CACHE=DIR puts the cache elsewhere, cache=off does without"


@dataclass(frozen=True)
class Entry:
    """One array on disk, finished or not."""

    key: str
    bytes: int
    used: float  # seconds since 1970, of its last use
    about: Mapping[str, Any]  # what its .json says; empty where that cannot be read
    path: Path


def folder() -> Path:
    return root() / "features"


# --- reading


def find(key: str) -> np.ndarray | None:
    """The rows of a finished entry, read-only and mapped from the disk; its last use is now. None if it is not there.

    A file that is not whole, or not ours, is never used: it is removed, with a warning.
    """
    file = _file(key)
    try:
        rows = open_whole(file)
    except FileNotFoundError:
        return None
    except OSError as error:  # no permission, too many open files: no fault of the entry
        warnings.warn(f"{file}: {error.strerror}; computed again", stacklevel=2)
        return None
    except Exception:  # a broken header has many ways to be wrong; or another process has just changed the files
        return _second_look(file)
    with suppress(OSError):  # a folder that is read-only for this user
        os.utime(file)
    return rows


def _second_look(file: Path) -> np.ndarray | None:
    """The rows, read while no other process changes files; what is not whole now is removed."""
    with alone(file.parent):
        try:
            return open_whole(file)
        except OSError:  # another process has removed it
            return None
        except Exception as error:
            left = "removed" if _drop(file) else "left there"
            said = f"{file}: is no whole entry ({error}); {left}, and computed again"
    warnings.warn(said, stacklevel=3)
    return None


def entries() -> list[Entry]:
    """All finished entries, the one least recently used first."""
    found = [_entry(file, key) for file, key, kind in _files() if kind == ".npy"]
    return sorted((one for one in found if one), key=lambda one: (one.used, one.key))


def unfinished() -> list[Entry]:
    """What is being written, or was left by a process that was killed."""
    found = [_entry(file, key) for file, key, kind in _files() if kind.endswith(".partial")]
    return [one for one in found if one]


# --- writing


class Writing:
    """Rows on their way to become an entry; `begin` makes it.

    Other processes of this machine write their rows through `join(path)`, and end before `finish`.
    """

    def __init__(self, key: str, path: Path, descriptor: int, about: Mapping[str, Any]) -> None:
        self.key = key
        self.path = path
        self.about = about
        self.rows = open_to_write(path)
        self._descriptor = descriptor  # holds the lock

    def finish(self) -> np.ndarray:
        """Make the rows an entry, and give them read-only.

        Where that fails (a disk that is full by now, a folder that is gone) a warning says so; the rows are good.
        """
        file = _file(self.key)
        self.rows.flush()
        os.fsync(self._descriptor)  # also what was written through maps, by any process
        self.rows.flags.writeable = False  # it is an entry, which nobody changes
        made = datetime.now(UTC).isoformat(timespec="seconds")
        said = {**self.about, **shape_of(self.rows), "bytes": self.rows.offset + self.rows.nbytes, "made": made}
        try:
            with alone(file.parent):
                write_text(file.with_suffix(".json"), json.dumps(said, indent=1, default=str) + "\n")
                os.replace(self.path, file)
        except OSError as error:
            _unlink(self.path)
            warnings.warn(f"{file}: is not kept for the next run: {reason(error, file.parent)}", stacklevel=2)
        finally:
            close(self._descriptor)
        return self.rows

    def abandon(self) -> None:
        """Remove what was written."""
        del self.rows
        _unlink(self.path)
        close(self._descriptor)


def begin(key: str, shape: Sequence[int], dtype: DTypeLike, about: Mapping[str, Any]) -> Writing:
    """A file for an array of that shape, all 0, whose room on the disk is taken now.

    about: what it is, for a person: network, value, data, split (plain containers).

    Raises: UserError where the disk is full or the folder cannot be written. Written through a map, a disk that fills
    later would end the process by a signal.
    """
    file = _file(key)
    start = header(shape, np.dtype(dtype))
    needed = len(start) + int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    path = file.with_name(f"{key}.{os.getpid()}-{token_hex(4)}.partial")
    descriptor = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if free(path.parent) < needed:  # else what is free would be taken from others for a moment
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        with alone(path.parent):  # nobody takes it for dead between these two
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            HELD.add(descriptor)
            lock(descriptor)
        os.write(descriptor, start)
        reserve(descriptor, needed)
        return Writing(key, path, descriptor, about)
    except OSError as error:
        if descriptor is not None:
            _unlink(path)
            close(descriptor)
        raise UserError(
            f"{path.parent}: {reason(error, path.parent)}; {needed / 1e6:.1f} MB are needed; {ELSEWHERE}"
        ) from error


def join(path: Path) -> np.ndarray:
    """The rows of a Writing of another process, to write some of them."""
    return open_to_write(path)


# --- removing


def make_room(limit: int, needed: int) -> list[Entry]:
    """Remove what killed processes left, and the least recently used entries until `needed` bytes fit below `limit`.

    Gives what was removed. A process that has an entry open keeps its rows. What is being written counts.

    Raises: UserError where there is no such room; then no entry is removed for it in vain.
    """
    with alone(folder()):
        removed = _sweep()
        busy = sum(one.bytes for one in unfinished())
        there = entries()
        held = sum(one.bytes for one in there)
        room = limit - busy - needed
        for one in there if room >= 0 else ():
            if held <= room:
                break
            if _drop(one.path):  # a system may refuse it while somebody reads
                held -= one.bytes
                removed.append(one)
    if held > room:
        raise UserError(
            f"{folder()}: {needed / 1e6:.1f} MB do not fit: at most {limit / 1e6:.1f} MB are allowed, and "
            f"{(busy if room < 0 else busy + held) / 1e6:.1f} MB are in use; raise the limit; {ELSEWHERE}"
        )
    return removed


def clear() -> list[Entry]:
    """Remove all that is finished or was left by killed processes; gives what was removed."""
    with alone(folder()):
        return [*(one for one in entries() if _drop(one.path)), *_sweep()]


def _sweep() -> list[Entry]:
    """Remove what killed processes left."""
    rests = [(file, key) for file, key, kind in _files() if _is_rest(file, key, kind) and not alive(file)]
    return [one for file, key in rests if (one := _entry(file, key)) and _unlink(file)]


def _is_rest(file: Path, key: str, kind: str) -> bool:
    """A file that is no part of a finished entry."""
    return kind != ".npy" and not (kind == ".json" and file.with_name(f"{key}.npy").exists())


def _drop(file: Path) -> bool:
    """Remove an entry, its .npy first: without that it is none. False where that is refused."""
    gone = _unlink(file)
    if gone:
        _unlink(file.with_suffix(".json"))
    return gone


def _unlink(file: Path) -> bool:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return False
    return True


# --- files


def _file(key: str) -> Path:
    if not re.fullmatch(KEY, key):
        raise ValueError(f"key '{key}': expected 32 to 64 hexadecimal digits")
    return folder() / f"{key}.npy"


def _files() -> list[tuple[Path, str, str]]:
    """The files of this cache: path, key, kind."""
    try:
        found = [(file, NAME.fullmatch(file.name)) for file in folder().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [(file, name["key"], name["kind"]) for file, name in found if name]


def _entry(file: Path, key: str) -> Entry | None:
    """None if another process has just removed it."""
    try:
        seen = file.stat()
    except FileNotFoundError:
        return None
    about = read_about(file) if file.suffix == ".npy" else {}
    return Entry(key, seen.st_size, seen.st_mtime_ns / 1e9, about, file)
