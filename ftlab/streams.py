"""Standard output and error on terminals and in files that are not UTF-8: what cannot be printed is told in ASCII."""

import codecs
import io
import sys
import unicodedata
from typing import IO, Any

NAME = "ftlab.plain"  # of the error handler, among those of codecs
PLAIN = {
    "…": "...", "·": ".", "•": "*", "×": "x", "÷": "/", "±": "+/-", "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-",  # noqa: RUF001 - looking alike is the point
    "→": "->", "←": "<-", "↔": "<->", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "‘": "'", "’": "'", "“": '"',  # noqa: RUF001
    "”": '"', "„": '"', "«": '"', "»": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ", "█": "#", "✓": "+", "✗": "x",
    "µ": "u", "μ": "u",
}  # fmt: skip


def plain(char: str) -> str:
    """A character in ASCII; "?" for one that has no such likeness."""
    if char in PLAIN:
        return PLAIN[char]
    name = unicodedata.name(char, "")
    if not name.startswith("BOX DRAWINGS"):
        return "?"
    across, upright = ("HORIZONTAL" in name, "VERTICAL" in name)
    return "-" if across and not upright else "|" if upright and not across else "+"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


codecs.register_error(NAME, _replaced)


def is_unicode(stream: IO[Any]) -> bool:
    """Whether every character can be written; a stream that does not say takes texts as they are."""
    return is_utf(getattr(stream, "encoding", None) or "utf-8")


def is_utf(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name.startswith("utf")
    except LookupError:
        return False


def printed(text: str, encoding: str) -> str:
    """The text as a stream of this encoding shows it after `make_printable`."""
    return text if is_utf(encoding) else text.encode(encoding, NAME).decode(encoding)


def make_printable() -> None:
    """From here on no character can end the program on its way to standard output or error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not is_unicode(stream):
            stream.reconfigure(errors=NAME)
