"""The course of a choice: look, the plain default, then rounds of short runs and whole ones, as time allows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ftlab.choosing.halving import Result, finalists, is_ahead, price, short
from ftlab.choosing.journal import SHORT, WHOLE, Entry, Journal
from ftlab.choosing.rules import EPOCHS, Proposal, Seen, proposals
from ftlab.errors import UserError
from ftlab.reports.jobs import row_of
from ftlab.reports.numbers import duration
from ftlab.watchers.deadline import limit

ROUNDS = 3  # of changes to what was best in the round before
DEFAULT = Proposal("the plain default", (), "what ftlab train does by itself", "")
AS_IT_STANDS = Proposal("as it stands", (), "what the other short runs are held against", "")


class Jobs(Protocol):
    """What a choice needs of who runs jobs and knows configs."""

    def launch(self, job: int, words: Sequence[str]) -> None:
        """Run the job in the folder of its number."""

    def settings(self, words: Sequence[str]) -> Mapping[str, Any]:
        """Settings by dotted name, with what is `auto` by the size of the data filled in, and without those that no
        phase reads. Raises: UserError."""

    def look(self) -> tuple[Seen, dict[str, Any]]:
        """What the rules go by, and what is told of it."""


@dataclass(frozen=True)
class Standing:
    """The best so far."""

    words: tuple[str, ...]
    value: float  # of its objective, higher being better
    seconds: float  # of its run


@dataclass(frozen=True)
class Length:
    """How long the runs of a round are."""

    stage: str
    epochs: int | None = None  # of a whole run; None: the strategy has its own
    part: float = 1.0  # of the epochs
    spare: float = 0.0  # seconds that are left for what comes after

    def of(self, one: Proposal) -> tuple[str, ...]:
        """The words that make a run of a proposal as long."""
        if self.epochs is None or self.part == 1.0 or one.one_epoch:
            return ()
        own = next((int(word.partition("=")[2]) for word in one.words if word.startswith(f"{EPOCHS}=")), self.epochs)
        return (f"{EPOCHS}={short(own)}",)


class Course:
    def __init__(
        self, folder: Path, budget: float, typed: frozenset[str], jobs: Jobs, clock: Callable[[], float]
    ) -> None:
        """budget: seconds; typed: keys that stay as they are; clock: of seconds, such as time.monotonic."""
        self.folder, self.budget, self.typed, self.jobs, self.clock = folder, budget, typed, jobs, clock
        self.journal = Journal(folder)

    def go(self) -> None:
        """Raises: UserError where the plain default gives nothing to be held against."""
        self.journal.allow(self.budget)
        seen = self._look()
        first = self._do(0, DEFAULT, None, Length(WHOLE))
        value = self._value(first)
        if value is None:
            error = row_of(self.folder / str(first["job"]))["error"]
            raise UserError(error or "the plain default has no figure of val that others could be held against")
        standing = Standing((), value, first["seconds"])
        for number in range(1, ROUNDS + 1):
            self._round(number, seen, standing)
            better = self._best(standing, number)
            if better is standing:
                break
            standing = better

    def _look(self) -> Seen:
        if self.journal.content["look"] is None:
            began = self.clock()
            seen, told = self.jobs.look()
            self.journal.look({**told, "seen": asdict(seen)}, self.clock() - began)
        kept = self.journal.content["look"]["seen"]
        return Seen(**{**kept, "ranked": [(name, cost) for name, cost in kept["ranked"]]})

    def _round(self, number: int, seen: Seen, standing: Standing) -> None:
        now = self.jobs.settings(standing.words)
        found = proposals(replace(seen, batch_size=now.get("data.batch_size", seen.batch_size)), now, self.typed)
        epochs = now.get(EPOCHS)
        part = short(epochs) / epochs if epochs else 1.0
        spare = self._spare(number, standing, part)
        whole, brief = Length(WHOLE), Length(SHORT if part < 1.0 else WHOLE, epochs, part, spare)
        reference = self._value(self._do(number, AS_IT_STANDS, standing, brief)) if found else None
        results = [Result(one, self._value(self._do(number, one, standing, brief))) for one in found]
        for one in finalists(results, reference) if part < 1.0 else ():
            self._do(number, one, standing, whole)

    def _spare(self, number: int, standing: Standing, part: float) -> float:
        """What short runs leave for a whole one of the best of them; nothing where a whole one finds no room anyway."""
        of_round = sum(step["seconds"] for step in self.journal.steps if step["round"] == number)
        left = self.budget - self.journal.used + of_round  # when the round began
        return standing.seconds if part < 1.0 and left >= (1 + 2 * part) * standing.seconds else 0.0

    def _best(self, standing: Standing, number: int) -> Standing:
        """What stands, unless something is better; a choice that goes on knows of later rounds than this one."""
        best = standing
        for entry in (one for one in self.journal.steps if one["round"] <= number):
            value = self._value(entry)
            if entry["counts"] and value is not None and is_ahead(value, best.value):
                best = Standing(tuple(entry["words"]), value, entry["seconds"])
        return best

    def _do(self, number: int, one: Proposal, standing: Standing | None, length: Length) -> Entry:
        """A job, or the step that says why there is none; standing: None of the default, which runs in any case."""
        words = joined(standing.words if standing else (), one.words, length.of(one))
        if there := self.journal.find(number, words):
            return there
        if standing is None:
            return self._launch(number, one, words, WHOLE, None)
        stage = WHOLE if one.one_epoch else length.stage
        left = self.budget - self.journal.used
        needed = price(one, standing.seconds, length.part)
        if needed + length.spare > left:
            why = f"it would take about {duration(needed)}; {duration(max(left, 0.0))} were left"
            return self.journal.add(number, stage, one, words, 0.0, job=None, skipped=why, counts=False)
        return self._launch(number, one, words, stage, left)

    def _launch(self, number: int, one: Proposal, words: Sequence[str], stage: str, left: float | None) -> Entry:
        job = self.journal.next_job()
        what = f"{one.name}, short" if stage == SHORT else one.name
        print(f"{what}: {one.why}" + (f" ({one.source})" if one.source else ""), flush=True)
        if left is not None:
            limit(self.folder / str(job), left)
        began = self.clock()
        self.jobs.launch(job, words)
        took, counts = self.clock() - began, stage == WHOLE or EPOCHS not in self.typed  # what is typed stays
        return self.journal.add(number, stage, one, words, took, job=job, skipped=None, counts=counts)

    def _value(self, entry: Entry) -> float | None:
        """The objective of a step's job, higher being better."""
        row = None if entry["job"] is None else row_of(self.folder / str(entry["job"]))
        if row is None or row["objective"] is None:
            return None
        return float(row["objective"] if row["mode"] == "max" else -row["objective"])


def joined(*several: Sequence[str]) -> tuple[str, ...]:
    """Words with one value for each key, the later one; options first, since keys depend on them."""
    values = {key: value for words in several for key, _, value in (word.partition("=") for word in words)}
    return tuple(f"{key}={value}" for key, value in sorted(values.items(), key=lambda one: "." in one[0]))
