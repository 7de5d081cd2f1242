"""A run that is ended where its time is over."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab.files.writing import write_json
from ftlab.strategies.base import Phase
from ftlab.watchers.base import Watcher

FILE = "deadline.json"  # in the folder of a run


class Deadline(Watcher):
    def __init__(self, at: float) -> None:
        """at: seconds since 1970."""
        self.at = at

    def epoch(self, history: Sequence[dict[str, Any]], phases: Sequence[Phase]) -> str | None:
        return f"the time was over after epoch {len(history)}" if time.time() > self.at else None


def limit(folder: Path, seconds: float) -> None:
    """The run that begins in the folder has so many seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, {"at": time.time() + seconds})


def deadline_of(folder: Path) -> list[Watcher]:
    """The watcher of the run in the folder, where it has a limit."""
    file = folder / FILE
    return [Deadline(json.loads(file.read_text(encoding="utf-8"))["at"])] if file.is_file() else []
