"""Tab completion of `ftlab`: its modes here, and behind a mode what Hydra completes: keys, and options of groups."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import pairwise

from ftlab.errors import UserError, choices
from ftlab.modes import MODES

FLAGS = ("-sc", "--shell-completion")
FOLDER = ("-cd", "--config-dir")
SHELLS = {"bash": " ", "zsh": " ", "fish": "\n"}  # with what they want between two words
Application = Callable[[str, list[str]], int]


def completed(words: Sequence[str], hydra: Application) -> int:
    """`ftlab -sc install=SHELL` prints what the shell is to run; that calls `ftlab -sc query=SHELL` at each Tab.

    hydra: Hydra's application for a mode, with its words. Raises: UserError for other words.
    """
    action, _, shell = " ".join(words).partition("=")
    if action not in ("install", "uninstall", "query") or shell not in SHELLS:
        accepted = "expected install=SHELL or uninstall=SHELL (query=SHELL: what a shell asks)"
        raise UserError(f"{' '.join([FLAGS[0], *words])}: {accepted}; {choices(shell, SHELLS)}")
    if action != "query":
        return hydra("train", [FLAGS[0], *words])
    print(SHELLS[shell].join(_fitting(_until_cursor(), hydra)))
    return 0


def _fitting(line: str, hydra: Application) -> list[str]:
    """What the last word of the line may become."""
    mode, *typed = line.split()[1:] or [""]
    start = "" if line.endswith(" ") else (typed or [mode])[-1]
    if not typed and not line.endswith(" "):
        return [name for name in MODES if name.startswith(start)]
    if not mode:
        return list(MODES)
    if mode == "help":
        return [name for name in _helped() if name.startswith(start)]
    return _of_hydra(mode, line, typed, hydra) if mode in MODES else []


def _of_hydra(mode: str, line: str, typed: Sequence[str], hydra: Application) -> list[str]:
    # Hydra takes one word, the program's, from the line, and answers alike for all shells but for what is between.
    os.environ["COMP_LINE"] = f"ftlab-{mode}{line.partition(mode)[2]}"
    found = StringIO()
    with redirect_stdout(found), redirect_stderr(StringIO()):  # what it says of half a line helps nobody
        hydra(mode, [FLAGS[0], "query=fish", *_folder(typed)])
    return _accepted(mode, found.getvalue().splitlines())


def _accepted(mode: str, found: Iterable[str]) -> list[str]:
    """Without groups of other modes and names of classes, and with lists as values, which Hydra all takes for keys."""
    from ftlab.config import conf_dir, keys
    from ftlab.help_command import keys as documented

    foreign = {path.name for path in conf_dir().iterdir() if path.is_dir()} - keys(mode) - {"hydra"}
    lists = {key.name for key in documented() if key.value.startswith("[")}
    own = (word for word in found if re.split(r"[.=/]", word.lstrip("+~"))[0] not in foreign)
    return [f"{word[:-1]}=" if word[:-1] in lists else word for word in own if "_target_" not in word]


def _until_cursor() -> str:
    """The line as the shell tells it, up to the cursor; fish tells no more of it, and no place."""
    line, place = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    return line[: int(place)] if place.isdigit() else line


def _helped() -> list[str]:
    from ftlab.help_command import keys, pages

    return sorted({*pages(), *(key.name for key in keys())})


def _folder(typed: Sequence[str]) -> list[str]:
    """The folder of options of one's own, which Hydra does not take from the line."""
    folders = (folder for flag, folder in pairwise(typed) if flag in FOLDER and os.path.isdir(folder))
    return next(([FOLDER[1], folder] for folder in folders), [])
