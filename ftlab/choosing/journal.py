"""auto.json: what has been looked at and tried so far, kept after each step, so that a killed choice goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab.choosing.rules import Proposal
from ftlab.files.writing import read_json, write_json

FILE = "auto.json"  # in the folder of the multirun
SHORT, WHOLE = "short", "whole"
Entry = dict[str, Any]


class Journal:
    """`content` is the file's: {"look": what was seen, or None; "steps": an entry a proposal; "seconds": used}."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.content = read_json(self.file) if self.file.is_file() else {"look": None, "steps": [], "seconds": 0.0}

    @property
    def steps(self) -> list[Entry]:
        found: list[Entry] = self.content["steps"]
        return found

    @property
    def used(self) -> float:
        return float(self.content["seconds"])

    def allow(self, budget: float) -> None:
        """Seconds in all. With more than before, what found no time is tried once more."""
        if budget > self.content.get("budget", 0.0):
            self.content["budget"] = budget
            self.content["steps"] = [entry for entry in self.steps if entry["job"] is not None]
            self._save(0.0)

    def look(self, found: dict[str, Any], seconds: float) -> None:
        self.content["look"] = found
        self._save(seconds)

    def find(self, round_: int, words: Sequence[str]) -> Entry | None:
        """A job that was run with these words, or the step of this round that says why there is none."""
        same = [entry for entry in self.steps if entry["words"] == [*words]]
        return next((entry for entry in same if entry["job"] is not None or entry["round"] == round_), None)

    def add(self, round_: int, stage: str, one: Proposal, words: Sequence[str], seconds: float, **more: Any) -> Entry:
        """words: all that the job was given beside what was typed; more: its number, or why there is none."""
        told = {"name": one.name, "why": one.why, "source": one.source}
        entry = {"round": round_, "stage": stage, **told, "words": [*words], "seconds": seconds, **more}
        self.steps.append(entry)
        self._save(seconds)
        return entry

    def next_job(self) -> int:
        return 1 + max((e["job"] for e in self.steps if e["job"] is not None), default=-1)

    def _save(self, seconds: float) -> None:
        self.content["seconds"] += seconds
        write_json(self.file, self.content)
