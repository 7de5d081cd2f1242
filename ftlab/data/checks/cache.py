"""What a check of files, or a slow reading of them, found, kept for the next run with the same files.

An entry's name is a hash of all names, sizes, times and inodes, so an entry for files that have changed is never found.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from ftlab.files.writing import write_text
from ftlab.places import root

VERSION = 3  # of what is found and how it is written
KEPT = 50  # entries; older ones are removed
NAME = re.compile(r"[0-9a-f]{32}\.json")
SETTLED = 50_000_000  # ns; a file may change again within a tick of its file system's clock, and bear the same time


def folder() -> Path:
    """Where entries lie."""
    return root() / "checks"


def entry(paths: Sequence[str], load: bool, reading: str = "") -> Path | None:
    """The file for what is found in `paths` as they are now; None if one of them has just been written.

    reading: what is read in them, with the version of how that is done; "": they are checked.
    """
    state = blake2b(reading.encode(), digest_size=16)
    state.update(repr((VERSION, PIL.__version__, Image.MAX_IMAGE_PIXELS, load)).encode())
    newest = 0
    for path in paths:
        state.update(os.fsencode(os.path.abspath(path)) + b"\0")
        try:
            seen = os.stat(path)
        except OSError:
            state.update(b"gone\0")
            continue
        state.update(f"{seen.st_size},{seen.st_mtime_ns},{seen.st_ctime_ns},{seen.st_ino}\0".encode())
        newest = max(newest, seen.st_mtime_ns, seen.st_ctime_ns)
    return None if time.time_ns() - newest < SETTLED else folder() / f"{state.hexdigest()}.json"


def read(path: Path) -> Any:
    """What is in an entry; None if it is not there or not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(path: Path, value: Any) -> bool:
    """Keep `value` (plain containers); False where the folder cannot be written, which costs time only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(value))
        entries = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in entries[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def entries() -> dict[Path, int]:
    """What is kept, with its bytes."""
    found = {}
    for file in folder().glob("*.json"):
        with suppress(FileNotFoundError):  # another process has just removed it
            if NAME.fullmatch(file.name):
                found[file] = file.stat().st_size
    return found


def clear() -> dict[Path, int]:
    """Remove all that is kept; gives what was removed, with its bytes."""
    removed = {}
    for file, size in entries().items():
        with suppress(OSError):  # a folder that is read-only: it stays, and `entries` says so
            file.unlink(missing_ok=True)
            removed[file] = size
    return removed
