"""How a run starts in its folder: what a killed start left is moved aside, and what does not begin leaves nothing."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ftlab.disk import LOCK, held, locked, writable
from ftlab.errors import UserError
from ftlab.log import FILE as LOG
from ftlab.resume import CONFIG, LAST, REPORT, check_same, read_yaml

CHECKPOINTS = "checkpoints"
SWEEP = "multirun.yaml"  # Hydra writes it when the first job of a multirun is about to start
# All that a run writes into its folder; what has another name is the user's. The last says that there is
# a run: moved last, so that a kill while they are moved leaves something to move.
RUN = ("report.*", "bundle", "bundle.partial", "metrics.csv", "tensorboard", "split.safetensors", "features-*.bin",
       "trackers.json", "wandb",
       "refit", CHECKPOINTS, ".hydra", ".write-*", ".*.tmp", CONFIG)  # fmt: skip
OF_ANY_START = (LOCK, LOG, "process-*.log")  # added to by every start
KEYS = {"trainer", "strategy", "backbone", "resume"}  # of every config.yaml that a run wrote


def folder_of(settings: Mapping[str, Any], run_dir: str | Path | None) -> Path:
    """The run's folder, which may not be there yet. Raises: UserError if it is to be resumed and is not there."""
    if settings["resume"]:
        return check_same(Path(settings["resume"]), settings)
    return Path(run_dir or datetime.now().strftime("runs/%Y-%m-%d/%H-%M-%S-%f"))


def open_folder(folder: Path, settings: Mapping[str, Any]) -> Path:
    """The folder, if no other run has used it. Raises: UserError."""
    if not settings["resume"] and held(folder):
        raise UserError(f"{folder}: holds a run already; name another folder, or go on with it by resume={folder}")
    return folder


def fresh(key: str, folder: Path) -> Path:
    """The folder, which holds no run yet. Raises: UserError."""
    if names := held(folder):
        raise UserError(f"{key}={folder}: holds a run already ({', '.join(names)}); choose another folder")
    return folder


@contextmanager
def no_trace(key: str, folder: Path) -> Iterator[None]:
    """The folder is there in the body; if no run has begun by its end, all that was made for it is taken away.

    What was there before, and what no run writes, stays. Raises: UserError for a folder that cannot be written.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    before = names(folder)
    try:
        writable(key, folder)
        yield
    finally:
        with suppress(OSError, UserError):  # a folder that cannot be written, or is another run's by now
            if not has_begun(folder, before):
                take_away(folder, before, missing)


def has_begun(folder: Path, before: Collection[str]) -> bool:
    """Whether a run came to its first step there, before which it makes the folder of checkpoints; or a multirun."""
    checkpoints = folder / CHECKPOINTS
    made = checkpoints.is_dir() and (CHECKPOINTS not in before or any(checkpoints.iterdir()))
    return made or any((folder / name).exists() for name in (REPORT, SWEEP))


def take_away(folder: Path, before: Collection[str], missing: Collection[Path]) -> None:
    """Remove a run's files that are not among the names `before`, then the folders `missing` that are empty now."""
    with locked(folder):
        for name in names(folder) - set(before):
            if is_own(name, (*RUN, *OF_ANY_START)):
                remove(folder / name)
    for path in missing:
        path.rmdir()  # not if it holds anything


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def is_own(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def never_saved(folder: Path) -> bool:
    """Whether a run was killed there before its first checkpoint, so that it can only be started anew."""
    if not (folder / CONFIG).is_file() or any((folder / name).exists() for name in (LAST, REPORT, SWEEP)):
        return False
    return read_yaml(folder / CONFIG).keys() >= KEYS


def move_aside(folder: Path) -> Path:
    """Where the files of the run in the folder are now: before-1/ in it, or the first such name that is free.

    Raises: UserError if the run is still working there.
    """
    with locked(folder):
        number = next(n for n in range(1, 10**6) if not (folder / f"before-{n}").exists())
        aside = folder / f"before-{number}"
        aside.mkdir()
        for pattern in RUN:
            for name in sorted(name for name in names(folder) if fnmatch(name, pattern)):
                os.rename(folder / name, aside / name)
    return aside
