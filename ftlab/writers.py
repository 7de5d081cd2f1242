"""What becomes of predictions: a writer takes them one after the other, in the order of the inputs."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TextIO

from ftlab.streams import is_unicode


class Writer(ABC):
    """Writes to `output`, a new file; None: standard output."""

    def __init__(self, output: Path | None) -> None:
        self.output = output

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """From `begin` to `end`, which comes after an error too."""
        self.begin()
        try:
            yield self
        finally:
            self.end()

    @abstractmethod
    def begin(self) -> None:
        """Raises: FileExistsError, for nothing is overwritten."""

    @abstractmethod
    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        """One input: what it is called ({"file": ...}), what Task.describe says of it, and its own prediction.

        One that could not be read has the record {"error": why} and no prediction (None).
        """

    @abstractmethod
    def end(self) -> None:
        """Write what there is to write at last, and let go of the file."""


class Lines(Writer):
    """A JSON object a line, at once; where a character cannot be written as it is, by JSON's escapes."""

    stream: TextIO

    def begin(self) -> None:
        self.stream = sys.stdout if self.output is None else open(self.output, "x", encoding="utf8")  # noqa: SIM115

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        text = json.dumps({**name, **record}, ensure_ascii=not is_unicode(self.stream))
        print(text, file=self.stream, flush=True)

    def end(self) -> None:
        if self.output is not None:
            self.stream.close()
