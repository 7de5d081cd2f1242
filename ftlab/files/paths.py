"""Paths as a person reads them."""

import os


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that every stream can print; bytes that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
