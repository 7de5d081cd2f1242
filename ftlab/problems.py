"""What is wrong with data, or good to know of it: each problem once, with its count and a few examples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ftlab.errors import UserError

# error: the sample cannot be used; warning: figures may mislead; note: handled, good to know.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
EXAMPLES = 3
# Of the verbs of kinds, what stands after one thing.
ONE = {
    "are": "is", "have": "has", "lack": "lacks", "hold": "holds", "name": "names", "use": "uses", "lie": "lies",
    "repeat": "repeats", "cross": "crosses", "look": "looks", "become": "becomes", "were": "was",
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One kind of problem, as "3 files are empty: a.png, b.png, c.png; copy them again"."""

    kind: str  # what follows the count: "files are empty"
    severity: Severity
    count: int
    examples: tuple[str, ...] = ()  # at most EXAMPLES, printable
    advice: str = ""
    learning: bool = False  # of how one learns from the data, which a bundle that they measure has decided

    @property
    def text(self) -> str:
        rest = self.count - len(self.examples)
        more = f" and {rest:,} more" if self.examples and rest > 0 else ""
        shown = f": {', '.join(self.examples)}{more}" if self.examples else ""
        said = f"{self.count:,} {self.what}{shown}"
        return f"{said.rstrip('.')}; {self.advice}" if self.advice else said

    @property
    def what(self) -> str:
        """The kind as it is said of so many; without examples it is a sentence of its own."""
        return counted(self.count, self.kind) if self.examples else self.kind


def counted(count: int, kind: str) -> str:
    """What follows a count, which is written of several: of one, "image is truncated" of "images are truncated"."""
    words = kind.split(" ")
    verb = next((place for place, word in enumerate(words) if word in ONE), None)
    if count != 1 or not verb or "and" in words[:verb]:
        return kind
    noun = next((place for place, word in enumerate(words[:verb]) if word in ("of", "in")), verb) - 1
    words[noun], words[verb] = _single(words[noun]), ONE[words[verb]]
    return " ".join(words).replace(" and are ", " and is ")


def _single(noun: str) -> str:
    if noun.endswith(("sses", "xes")):
        return noun.removesuffix("es")
    if noun == "series":
        return noun
    return f"{noun.removesuffix('ies')}y" if noun.endswith("ies") else noun.removesuffix("s")


@dataclass(frozen=True)
class Fault:
    """One sample that cannot be used."""

    name: str  # its file, or the row that lists it
    kind: str  # of the problem that it belongs to
    reason: str  # one sentence that names the sample
    split: str = ""  # empty where it was left out before the data was split


def problem(
    kind: str, severity: Severity, names: Iterable[str], advice: str = "", learning: bool = False
) -> list[Problem]:
    """The problem of all `names`; none for none."""
    found = list(names)
    return [Problem(kind, severity, len(found), tuple(found[:EXAMPLES]), advice, learning)] if found else []


def of_faults(faults: Sequence[Fault]) -> list[Problem]:
    """One problem a kind, in the order of their first fault."""
    return _by_kind([(fault.kind, fault.reason) for fault in faults], "error")


def left_out(faults: Sequence[Fault]) -> list[Problem]:
    """The same of samples that are not used: of a file its name says all, since what its reason advises is done."""
    shown = [fault.name if fault.reason.startswith(f"{fault.name}: ") else fault.reason for fault in faults]
    return _by_kind([(fault.kind, one) for fault, one in zip(faults, shown, strict=True)], "warning", "left out")


def _by_kind(pairs: Sequence[tuple[str, str]], severity: Severity, advice: str = "") -> list[Problem]:
    kinds = dict.fromkeys(kind for kind, _ in pairs)
    return [found for kind in kinds for found in problem(kind, severity, (s for k, s in pairs if k == kind), advice)]


def by_severity(problems: Iterable[Problem]) -> list[Problem]:
    """Errors first, then warnings, then notes; otherwise in the order given."""
    return sorted(problems, key=lambda found: SEVERITIES.index(found.severity))


def refusal(name: str, faults: Sequence[Fault]) -> UserError:
    """The one message, of at most six lines, about samples that cannot be used."""
    ways = "mend or remove them, or leave them out by data.on_error=skip"
    if len(faults) == 1:
        return UserError(f"{faults[0].reason} To go on without it: data.on_error=skip")
    problems = of_faults(faults)
    lines = [f"{found.count:,} {found.what}, for example: {found.examples[0]}" for found in problems]
    shown = lines if len(lines) <= 4 else [*lines[:3], f"and {len(lines) - 3} more kinds; ftlab check lists them all"]
    return UserError("\n".join([f"data={name}: {len(faults):,} samples cannot be used; {ways}", *shown]))
