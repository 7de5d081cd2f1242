"""Paths as a person reads them."""

import os


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that every stream can print; bytes that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def short(text: str, most: int = 40) -> str:
    """A text on one line, cut off where it is longer than `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
