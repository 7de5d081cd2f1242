"""The user's own phases, from a YAML file or inline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ftlab.errors import UserError, choices
from ftlab.patterns import cover
from ftlab.strategies.base import Phase, Strategy
from ftlab.yaml_text import dumped, loaded

FROZEN = "frozen"
KEYS = ("name", "epochs", "stages", *(f.name for f in fields(Phase) if f.name not in ("name", "epochs", "rates")))


@dataclass(frozen=True, kw_only=True)
class Phases(Strategy):
    """A list of phases, each {name, epochs, stages: {pattern: frozen | rate}, ...}; `ftlab plan` writes such a file.

    In each phase every stage is covered by exactly one rule; `rest` names all that no other rule does. A stage may
    freeze again in a later phase.
    """

    file: str | None = None  # YAML file with a list under `phases`
    inline: tuple[Mapping[str, Any], ...] = ()  # the same list, on the command line

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        entries = self._entries()
        return [self._phase(entry, stages, number) for number, entry in enumerate(entries, start=1)]

    def own_epochs(self) -> int:
        entries = self._entries()
        for number, entry in enumerate(entries, start=1):
            check_entry(entry, self._where(number))
        return sum(entry["epochs"] for entry in entries)

    def _where(self, number: int) -> str:
        return f"strategy{f' ({self.file})' if self.file else ''}, phase {number}"

    def _entries(self) -> Sequence[Mapping[str, Any]]:
        if (self.file is None) == (not self.inline):
            raise UserError("strategy=phases: give strategy.file=FILE or strategy.inline=[...], one of the two")
        return self.inline if self.file is None else read(Path(self.file))

    def _phase(self, entry: Mapping[str, Any], stages: Sequence[str], number: int) -> Phase:
        where = self._where(number)
        check_entry(entry, where)
        patterns = {str(pattern): rate for pattern, rate in entry["stages"].items()}  # YAML reads 3 as a number
        rules = cover(patterns, stages, f"{where}, stages")
        rates = {stage: number_of(rate, f"{where}, stages") for stage, rate in rules.items() if rate != FROZEN}
        settings = {**self.held, **{k: entry[k] for k in KEYS[3:] if k in entry}}
        return Phase(name=str(entry["name"]), epochs=entry["epochs"], rates=rates, **settings)


def check_entry(entry: Mapping[str, Any], where: str) -> None:
    """Raises: UserError for a phase that is no mapping, lacks a key or has an unknown one."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{where}: expected a mapping with the keys {', '.join(KEYS)}; got {entry!r}")
    for key in entry:
        if key not in KEYS:
            raise UserError(f"{where}: unknown key '{key}'; {choices(str(key), KEYS)}")
    for key in ("name", "epochs", "stages"):
        if key not in entry:
            raise UserError(f"{where}: the key '{key}' is missing")
    accepted: dict[str, tuple[Any, str]] = {
        "epochs": (int, "a whole number"),
        "patience": ((int, type(None)), "a whole number or null"),
        "C": ((int, float, type(None)), "a number above 0 or null"),
        "min_delta": ((int, float), "a number"),
        "stages": (Mapping, f"a mapping of stages to '{FROZEN}' or a rate"),
    }
    for key, (kind, words) in accepted.items():
        if key in entry and (not isinstance(entry[key], kind) or isinstance(entry[key], bool)):
            raise UserError(f"{where}: {key}={entry[key]!r}; expected {words}")
    if not isinstance(entry.get("average", False), bool):
        raise UserError(f"{where}: average={entry['average']!r}; expected true or false")
    words_of = {"batchnorm": ("frozen", "train"), "start": ("current", "best"), "fit": ("gradient", "convex")}
    for key, values in words_of.items():
        if key in entry and entry[key] not in values:
            raise UserError(f"{where}: {key}={entry[key]!r}; {choices(str(entry[key]), values)}")


def number_of(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: {value!r} is neither '{FROZEN}' nor a rate, a multiplier such as 1.0")
    return float(value)


def read(path: Path) -> Sequence[Mapping[str, Any]]:
    """The list under `phases` of a YAML file. Raises: UserError naming the file."""
    try:
        data = loaded(path.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise UserError(
            f"strategy.file={path}: there is no such file; `ftlab plan plan.output=FILE` writes one"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"strategy.file={path}: cannot be read as YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, Mapping) or set(data) != {"phases"} or not isinstance(data["phases"], list):
        raise UserError(f"strategy.file={path}: expected one key, phases, with a list under it")
    return data["phases"]


def write(phases: Sequence[Phase], stages: Sequence[str], path: Path) -> None:
    """An editable file that Phases reads back to the same phases.

    Raises: UserError if the file exists already, or its folder does not.
    """
    if not path.parent.is_dir():
        raise UserError(f"plan.output={path}: the folder {path.parent} is not there; make it first")
    if path.exists():
        raise UserError(f"plan.output={path}: the file exists already; name another, nothing is overwritten")
    entries = [
        {
            "name": p.name,
            "epochs": p.epochs,
            "patience": p.patience,
            "min_delta": p.min_delta,
            "start": p.start,
            "batchnorm": p.batchnorm,
            "fit": p.fit,
            "C": p.C,
            "average": p.average,
            "stages": {s: p.rates.get(s, FROZEN) for s in stages},
        }
        for p in phases
    ]
    header = (
        "# Phases, in order. Run them: ftlab train strategy=phases strategy.file=THIS_FILE\n"
        "# stages: frozen, or a multiplier of the run's rate; globs (backbone/*) and `rest` work too.\n"
        "# average: true, an epoch ends with the mean of the weights over its steps.\n"
        "# fit: gradient, or convex (one epoch that fits the head's last layer, under C; null: cross-validated).\n"
    )
    path.write_text(header + dumped({"phases": entries}), encoding="utf8")
