"""The run's folder as a place: is it writable, is another run in it, and what to say when the disk is full."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ftlab.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has none; there a run's folder is not guarded
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
RUN_FILES = ("config.yaml", "report.json", "checkpoints", "multirun.yaml")  # any of these: the folder holds a run
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
HELD: set[int] = set()  # descriptors of locks of this process


def held(folder: Path) -> list[str]:
    """What says that the folder holds a run; no checkpoints in their folder are left by one that never began."""
    there = [folder / name for name in RUN_FILES if (folder / name).exists()]
    return [path.name for path in there if path.name != "checkpoints" or path.is_file() or any(path.iterdir())]


@contextmanager
def clear_errors(folder: Path, what: str, go_on: str = "") -> Iterator[None]:
    """Raises: UserError in place of an error of a full or read-only disk; `what` is what could not be written.

    Half-written checkpoints are removed; the finished ones are as they were.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*FULL, *CLOSED):
            raise
        for partial in (*folder.glob("checkpoints/*.partial"), *folder.glob("refit/checkpoints/*.partial")):
            if error.errno in FULL:
                partial.unlink(missing_ok=True)
        raise UserError(f"{what}: {reason(error, folder)}{go_on}") from error


def reason(error: OSError, folder: Path) -> str:
    file = f" ({error.filename})" if error.filename else ""
    if error.errno in FULL:
        return f"the disk is full{file}: {free(folder) / 1e6:.0f} MB are free; make room or name another folder"
    return f"cannot be written{file}: {error.strerror}; name another folder, or change its permissions"


def free(folder: Path) -> int:
    """Bytes free on the disk of the folder, or of the nearest one above that is there."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def writable(key: str, folder: Path) -> Path:
    """The folder, made if it was not there. Raises: UserError if nothing can be written in it."""
    probe = folder / f".write-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"ftlab")
    except OSError as error:
        raise UserError(f"{key}={folder}: {reason(error, folder)}") from error
    finally:
        with_no_error_left(probe)
    return folder


def with_no_error_left(probe: Path) -> None:
    try:
        probe.unlink(missing_ok=True)
    except OSError:
        return  # a read-only folder: it was never written


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder belongs to this process until the body ends, or the process dies, however it dies.

    Raises: UserError naming the process of the run that has it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "an unknown process"
            raise UserError(
                f"{folder}: another run is working in this folder ({holder}); wait for it, end it, or name another"
            ) from None
        except OSError:  # a network file system without locks: as before, nothing guards the folder
            yield
            return
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        HELD.add(descriptor)
        yield
    finally:
        HELD.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """In a forked worker: a lock that it inherits would outlive the process that was killed."""
    for descriptor in HELD:
        os.close(descriptor)
    HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def flush(path: Path) -> None:
    """To the disk: without it a power cut may leave the name of a file without its bytes."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
