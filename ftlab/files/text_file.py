"""A file that is one text."""

import os
import stat
from pathlib import Path

from ftlab.files.dialect import BINARY, MARKS, decoded
from ftlab.files.paths import printable
from ftlab.problems import Fault

TEXT_SUFFIXES = frozenset((".txt",))
UTF8 = "utf-8"  # a text alone is too short to tell one encoding of a few letters from another


def text_of(file: Path, encoding: str | None = None) -> str | Fault:
    """What a file holds, or why it cannot be used; encoding None: UTF-8, or UTF-16 where the first bytes say so."""
    name = printable(file)
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # opening a pipe would wait for ever
            return Fault(name, "files are no regular files", f"{name}: not a regular file; remove it.")
        content = file.read_bytes()
    except OSError as error:
        return Fault(name, "files are not there or cannot be read", f"{name}: {error.strerror}.")
    binary = next((said for mark, said in BINARY.items() if content.startswith(mark)), None)
    if binary or (not encoding and b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff"))):
        what = f"it is {binary}" if binary else "it holds zero bytes"
        return Fault(name, "files are no texts", f"{name}: {what}; replace or remove it.")
    marked = any(content.startswith(mark) for mark in MARKS)
    try:
        text, _ = decoded(content, encoding or (None if marked else UTF8))
    except ValueError as error:
        way = "" if encoding else "; save it as UTF-8, or name the encoding of all: data.encoding=cp1252"
        return Fault(name, "texts are in another encoding", f"{name}: {error}{way}.")
    if not text.strip():
        return Fault(name, "texts are empty", f"{name}: the text is empty; replace or remove it.")
    return text
