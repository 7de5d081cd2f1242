"""ftlab cache: what is kept on disk between runs, listed or removed. Imports no torch: it answers at once."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ftlab.cache import entries
from ftlab.cache.entries import Entry
from ftlab.data.checks import cache as checks
from ftlab.places import root
from ftlab.reports import numbers
from ftlab.reports.terminal import UNBOUNDED, table_of


def cache(config: Mapping[str, Any]) -> int:
    """Do config["action"], list or clear; 2 if something that should go is left, else 0."""
    return clear() if config["action"] == "clear" else show()


def show(console: Console | None = None) -> int:
    """Print what is kept, what was used last first."""
    console = console or Console()
    if not console.is_terminal:  # a path broken into lines cannot be searched for
        console.width = UNBOUNDED
    kept, partial, found = entries.entries(), entries.unfinished(), checks.entries()
    if kept:
        console.print(_table(kept[::-1]))
        console.print()
    lines = [f"{_arrays(kept)} in {entries.folder()}"] if kept else []
    if partial:
        lines.append(
            f"{len(partial)} unfinished, {_total(partial)}: being written, or left by a process that was killed"
        )
    if found:
        lines.append(f"{_results(found)} in {checks.folder()}")
    for line in lines or [f"the cache is empty: nothing is kept in {root()}"]:
        console.print(_text(line), soft_wrap=True)
    return 0


def clear() -> int:
    """Remove what is kept, and say how much that was and what is left."""
    print(f"removed {_arrays(entries.clear())}; {_results(checks.clear())}")
    for one in entries.unfinished():
        print(f"left there: {_text(one.path)}: a running process writes it")
    stays = [*(one.path for one in entries.entries()), *checks.entries()]
    for folder in dict.fromkeys(path.parent for path in stays):
        print(f"ftlab: {_text(folder)}: its files cannot be removed; change its permissions", file=sys.stderr)
    return 2 if stays else 0


def _table(kept: Sequence[Entry]) -> Table:
    table = table_of("what", "data", "rows x bytes", "size", "last used", left=("what", "data"))
    for column in table.columns[2:]:
        column.no_wrap = True  # on a narrow terminal names give way, figures do not
    for one in kept:
        shape = one.about.get("shape")
        table.add_row(
            _text(_words(one, "network", "value") or one.path.name),
            _text(_words(one, "data", "split")),
            _text(" x ".join(map(str, shape)) if isinstance(shape, list) else numbers.NOTHING),
            _size(one.bytes),
            f"{datetime.fromtimestamp(one.used):%Y-%m-%d %H:%M}",
        )
    return table


def _words(one: Entry, *names: str) -> str:
    return " ".join(str(one.about[name]) for name in names if name in one.about)


def _text(value: object) -> Text:
    """A .json of a shared folder may hold any character, also those that steer a terminal."""
    return Text("".join(sign if sign.isprintable() else "?" for sign in numbers.readable(value)))


def _arrays(found: Iterable[Entry]) -> str:
    kept = list(found)
    return f"{len(kept)} {'entry' if len(kept) == 1 else 'entries'}, {_total(kept)}"


def _results(found: Mapping[Any, int]) -> str:
    return f"{len(found)} {'result' if len(found) == 1 else 'results'} of ftlab check, {_size(sum(found.values()))}"


def _total(kept: Iterable[Entry]) -> str:
    return _size(sum(one.bytes for one in kept))


def _size(size: int) -> str:
    """Bytes in decimal units: 640 B, 12.8 kB, 3.37 MB."""
    text = numbers.count(size)
    return f"{text}B" if " " in text else f"{text} B"
