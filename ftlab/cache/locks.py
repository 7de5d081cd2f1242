"""Which process works on which file; a lock ends with its process, however that ends."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ftlab.disk import HELD, fcntl

DAY = 86_400  # seconds without a change after which a writer counts as dead where there are no locks


def lock(descriptor: int) -> None:
    """Wait for the lock of an open file. Where there are none (Windows, some network disks) nobody waits."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """One process at a time changes which files are in the folder."""
    try:
        descriptor = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # it is not there, or read-only: nothing will be changed
        yield
        return
    HELD.add(descriptor)
    try:
        lock(descriptor)
        yield
    finally:
        close(descriptor)


def close(descriptor: int) -> None:
    """Lets go of the lock too. A forked child has closed it already."""
    if descriptor in HELD:
        HELD.discard(descriptor)
        os.close(descriptor)


def alive(file: Path) -> bool:
    """Whether a living process writes the file: it holds its lock, or, where there are no locks, the file is young."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:  # another user's
        return True
    try:
        if fcntl is None:
            return time.time() - os.fstat(descriptor).st_mtime < DAY
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return time.time() - os.fstat(descriptor).st_mtime < DAY
    finally:
        os.close(descriptor)
    return False
