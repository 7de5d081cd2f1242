"""ftlab.log in a run's folder: what the terminal showed, as plain text, and how the run ended."""

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from rich.console import Console, NewLine
from rich.control import Control

from ftlab.errors import StoppedError, UserError

FILE = "ftlab.log"  # Hydra, which names it after hydra.job.name, adds what libraries log
COLOUR = re.compile(r"\x1b\[[\d;]*m")
BLANKS = re.compile(r" +(?=\n)")  # with which tables fill their lines


class Shown:
    """A stream whose finished lines go into the log too; those that were drawn over, as bars are, do not."""

    def __init__(self, terminal: IO[str], log: IO[str]) -> None:
        self.rich_proxied_file = terminal  # consoles draw their bars there
        self.log = log
        self.line = ""  # the one that has not ended

    def write(self, text: str) -> int:
        *ended, self.line = (self.line + text).split("\n")
        for line in ended:
            self._note(line)
        return self.rich_proxied_file.write(text)

    def close_line(self) -> None:
        """Into the log with a line that nothing has ended."""
        if self.line:
            self._note(self.line)
        self.line = ""

    def _note(self, line: str) -> None:
        plain = COLOUR.sub("", line)
        if "\r" not in plain and "\x1b" not in plain:
            self.log.write(BLANKS.sub("", f"{plain}\n"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


class LoggedConsole(Console):
    """Prints on the terminal and into the log; what moves, such as a bar, is drawn on the terminal alone."""

    def __init__(self, terminal: IO[str], log: IO[str]) -> None:
        super().__init__(file=terminal)
        plain: dict[str, Any] = {"force_terminal": False, "color_system": None, "force_jupyter": False}
        self.kept = log
        self.log_console = Console(file=log, width=self.width, **plain)

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*objects, **how)
        if not objects or not all(isinstance(one, Control | NewLine) for one in objects):
            with self.log_console.capture() as printed:
                self.log_console.print(*objects, **how)
            self.kept.write(BLANKS.sub("", printed.get()))


@contextmanager
def logged(folder: Path, command: str) -> Iterator[Console]:
    """The console of a run. What the body prints there or elsewhere is added to the log, and the error that ends it."""
    with open(folder / FILE, "a", encoding="utf-8", errors="backslashreplace", buffering=1) as log:
        log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {command}\n")
        before = sys.stdout, sys.stderr
        streams = [Shown(stream, log) for stream in before]
        sys.stdout, sys.stderr = streams  # type: ignore[assignment]  # all that a text stream is asked for
        try:
            yield LoggedConsole(before[0], log)
        except BaseException as error:
            log.write(_ended(error))
            raise
        finally:
            sys.stdout, sys.stderr = before
            for stream in streams:
                stream.close_line()


def _ended(error: BaseException) -> str:
    if isinstance(error, UserError | StoppedError):
        return f"ftlab: {error}\n"
    return "ftlab: interrupted\n" if isinstance(error, KeyboardInterrupt) else traceback.format_exc()
