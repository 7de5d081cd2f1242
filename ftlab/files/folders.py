"""Folders and files of a data set, found with errors that help."""

import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from ftlab.errors import UserError
from ftlab.files.image_suffixes import by_suffix, image_suffixes
from ftlab.files.paths import printable

NUMBER = re.compile(r"\d+")


def existing_folder(root: str | os.PathLike[str], key: str = "data.root") -> Path:
    """`root` as a path. Raises: UserError with the nearest sibling's name if it is not a folder."""
    path = Path(root).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{key}={printable(path)} is a file; a folder is needed.")
    raise UserError(f"{key}={not_there(path, Path.is_dir)}")


def not_there(path: Path, fits: Callable[[Path], bool] = Path.exists) -> str:
    """What is said of a path that is not there: where the search ended, and what is called much like it."""
    parent = path.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    # Names that differ in digits alone are meant to: 4.png is no misspelling of 5.png.
    numbered = NUMBER.sub("", path.name)
    siblings = [entry.name for entry in visible(parent) if fits(entry) and NUMBER.sub("", entry.name) != numbered]
    near = get_close_matches(path.name, siblings, n=3, cutoff=0.6)
    hint = f" Did you mean {', '.join(repr(printable(name)) for name in near)}?" if near else ""
    return f"{printable(path)} is not there; nearest existing folder: {printable(parent)}.{hint}"


def visible(folder: Path) -> list[Path]:
    """Entries in the order of their names, without hidden ones such as .ipynb_checkpoints."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def subfolders(folder: Path) -> list[Path]:
    return [entry for entry in visible(folder) if entry.is_dir()]


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """(images, other files) by suffix; see `files_below`."""
    return files_below(folder, image_suffixes())


def files_below(folder: Path, suffixes: frozenset[str]) -> tuple[list[Path], list[Path]]:
    """(those with such a suffix, other files), anywhere below `folder`, sorted; hidden ones are left out.

    Links are followed once.
    """
    wanted: list[Path] = []
    others: list[Path] = []
    seen: set[str] = set()
    for parent, names, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link back to a folder above would never end
            names.clear()
            continue
        seen.add(real)
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                path = Path(parent, name)
                (wanted if path.suffix.lower() in suffixes else others).append(path)
    return sorted(wanted), sorted(others)


def hidden(root: Path) -> list[Path]:
    """Hidden files and folders below `root`, sorted; not those inside hidden folders or behind links."""
    found: list[Path] = []
    for parent, names, files in os.walk(root):
        found += [Path(parent, name) for name in (*names, *files) if name.startswith(".")]
        names[:] = [name for name in names if not name.startswith(".")]
    return sorted(found)


def skipped(files: list[Path]) -> tuple[str, ...]:
    """The warning about files that are no images, with their count and suffixes; none for none."""
    return (f"{unreadable(files)}; left out, for example {printable(files[0])}",) if files else ()


def unreadable(files: list[Path], noun: str = "image") -> str:
    """What is said of files that are no images, or what else they should be, by their suffix."""
    count = f"1 file is no {noun}" if len(files) == 1 else f"{len(files)} files are no {noun}s"
    return f"{count} that can be read: {by_suffix(files)}"
