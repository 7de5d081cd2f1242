"""Messages of programs with their translations, as gettext keeps them: .po for people, .mo for programs."""

import ast
import gettext
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.errors import UserError

SUFFIXES = (".po", ".mo")
CHARSET = re.compile(rb"charset=([\w.:-]+)")  # of a .po, in its head
UTF8 = ("utf-8", "utf8", "ascii", "us-ascii", "charset")  # the last of a head that nobody has filled in
FIELD = re.compile(r'^(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d+)\])?)\s*(".*")$')


@dataclass
class Message:
    """One entry."""

    line: int  # of a .po; of a .mo its number
    text: str = ""
    plural: str = ""
    translations: dict[int, str] = field(default_factory=dict)  # by number of the plural form
    is_fuzzy: bool = False  # a guess that nobody has looked at
    is_old: bool = False  # no longer in the program


def messages(file: Path) -> list[Message]:
    """All of a file but its head. Raises: UserError, naming the file, for what cannot be read."""
    try:
        read = _of_po(file) if file.suffix == ".po" else _of_mo(file)
        return [one for one in read if one.text]
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, struct.error) as error:
        raise UserError(f"{file}: cannot be read as gettext's {file.suffix} ({error})") from error


def _of_mo(file: Path) -> Iterator[Message]:
    with file.open("rb") as opened:
        catalog: dict[Any, str] = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]  # all of it
    for number, (key, text) in enumerate(catalog.items(), start=1):
        whole, form = key if isinstance(key, tuple) else (key, 0)
        if form == 0:  # of plurals the first form, of one thing
            yield Message(number, whole.rpartition("\x04")[2], translations={0: text})


def _of_po(file: Path) -> Iterator[Message]:
    current, part = Message(0), ("", 0)
    for number, line in enumerate([*_text(file).split("\n"), ""], start=1):
        stripped = line.strip()
        old = stripped.startswith("#~")
        stripped = stripped.removeprefix("#~").strip() if old else stripped
        if found := FIELD.match(stripped):
            name, form, text = found[1].partition("[")[0], int(found[2] or 0), ast.literal_eval(found[3])
            if name in ("msgctxt", "msgid") and current.translations:  # the next begins without a line between them
                yield current
                current = Message(number)
            if name == "msgid":
                current.line, current.is_old = number, old
            part = (name, form)
            _add(current, part, text)
        elif stripped.startswith('"') and part[0]:
            _add(current, part, ast.literal_eval(stripped))
        elif old and stripped.startswith("|"):  # what an old message was called before
            continue
        elif stripped.startswith("#"):
            if current.translations:
                yield current
                current = Message(number)
            current.is_fuzzy |= stripped.startswith("#,") and "fuzzy" in stripped
        elif not stripped:
            if current.translations:
                yield current
            current, part = Message(number), ("", 0)
        else:
            raise ValueError(f"line {number}: {stripped[:60]}")


def _text(file: Path) -> str:
    content = file.read_bytes()
    found = CHARSET.search(content)
    named = found[1].decode() if found else "utf-8"
    return content.decode("utf-8-sig" if named.lower() in UTF8 else named)


def _add(message: Message, part: tuple[str, int], text: str) -> None:
    """A piece of a text that goes on over several lines."""
    name, form = part
    if name == "msgid":
        message.text += text
    elif name == "msgid_plural":
        message.plural += text
    elif name == "msgstr":
        message.translations[form] = message.translations.get(form, "") + text
