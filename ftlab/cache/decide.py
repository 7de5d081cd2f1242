"""Where each phase takes the values at its freeze border from: pure functions of what is known before the run.

memory, disk: computed once, by one pass over the samples, and read in every epoch. live: computed at every step, by the
fast copy of the frozen part. off: the whole network runs, as it does without a cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any, Literal

from ftlab.cache.settings import GIB, CacheSettings
from ftlab.errors import UserError

Place = Literal["memory", "disk", "live", "off"]
KEPT: tuple[Place, ...] = ("memory", "disk")


@dataclass(frozen=True)
class Need:
    """What a phase needs of the frozen part."""

    phase: str
    epochs: int
    trains: frozenset[str]  # addresses of stages
    names: tuple[str, ...] = ()  # values at its border; none where nothing is frozen before what trains
    stages: frozenset[str] = frozenset()  # that these values are computed by
    plain: bool = False  # whether its training samples are as in evaluation, whatever the augmentation
    why_not: str | None = None  # why it has no border that can be used
    pays: bool = True  # whether reading the values is faster than computing them, as measured

    def without(self, why_not: str) -> "Need":
        """The same of a phase whose border cannot be used."""
        return replace(self, names=(), stages=frozenset(), why_not=why_not)


@dataclass(frozen=True)
class Choice:
    """Where a phase takes the values of each split from."""

    phase: str
    train: Place
    val: Place
    why: str  # one sentence, for a person

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Amounts:
    """What would be kept."""

    row_bytes: Mapping[str, int]  # of each value of one sample
    train: int  # rows: samples, times the views of an augmentation
    plain_train: int  # rows of training samples as in evaluation
    val: int  # rows

    def bytes(self, names: Sequence[str], train: bool, plain: bool) -> int:
        rows = self.val + (0 if not train else self.plain_train if plain else self.train)
        return rows * sum(self.row_bytes[name] for name in names)


@dataclass(frozen=True)
class Limits:
    """What else decides."""

    settings: CacheSettings
    varied: str | None = None  # why training samples differ from epoch to epoch and cannot be kept; None: they can
    disk_not: str | None = None  # why nothing can be kept on disk
    disk_free: float = inf  # bytes


def decide(needs: Sequence[Need], amounts: Amounts, limits: Limits) -> list[Choice]:
    """One choice a phase.

    Raises: UserError where `cache=memory` or `disk` asks for what cannot be.
    """
    settings, varied = limits.settings, limits.varied
    if settings.mode == "off":
        return [Choice(need.phase, "off", "off", "cache=off") for need in needs]
    choices: dict[str, Choice] = {}
    for group in groups(needs):
        held: set[str] = set()
        used = 0
        epochs = sum(need.epochs for need in group)
        for need in group:
            train = varied is None or need.plain
            more = amounts.bytes([n for n in need.names if n not in held], train, need.plain)
            choice = _choice(need, train, epochs, used + more, more, limits)
            choices[need.phase] = choice
            if "memory" in (choice.train, choice.val):
                used, held = used + more, held | set(need.names)
    return [choices.get(need.phase) or _without_border(need, settings) for need in needs]


def groups(needs: Sequence[Need]) -> list[list[Need]]:
    """Phases whose values one pass at the start of the first of them can compute: none of them trains what is before
    the border of a later one. Phases without a border are in no group."""
    found: list[list[Need]] = []
    open_, trained = [], set()  # type: ignore[var-annotated]
    for need in needs:
        if need.names and (not open_ or need.stages & trained):
            open_, trained = [], set()
            found.append(open_)
        if need.names:
            open_.append(need)
        trained |= need.trains
    return found


def _without_border(need: Need, settings: CacheSettings) -> Choice:
    if need.why_not and settings.mode in KEPT:
        raise UserError(f"cache={settings.mode}, phase '{need.phase}': {need.why_not}")
    return Choice(need.phase, "off", "off", need.why_not or "nothing is frozen before what trains")


def _choice(need: Need, train: bool, epochs: int, in_memory: int, more: int, limits: Limits) -> Choice:
    """`in_memory`: bytes with those of the phases before in the same pass; `more`: of this phase alone."""
    mode = limits.settings.mode
    place, why = _place(need, epochs, in_memory, more, limits)
    if mode in KEPT and (place != mode or not train):
        raise UserError(f"cache={mode}, phase '{need.phase}': {why if train else limits.varied}")
    if not train and place in KEPT:
        return Choice(need.phase, "live", place, f"{limits.varied}; of val: {why}")
    return Choice(need.phase, place, place, why)


def _place(need: Need, epochs: int, in_memory: int, more: int, limits: Limits) -> tuple[Place, str]:
    settings = limits.settings
    forced = settings.mode in KEPT
    if epochs < 2 and not forced:
        return "live", "one epoch: nothing is computed twice"
    if not need.pays and not forced:
        return "live", "reading would take as long as computing"
    fits = not limits.disk_not and more <= min(settings.disk_budget * GIB, limits.disk_free)
    if settings.mode == "auto" and settings.shared and fits:
        return "disk", f"{gib(more)} on disk, for the other jobs too"
    if settings.mode != "disk" and in_memory <= settings.memory_budget * GIB:
        return "memory", f"{gib(more)} in memory"
    large = f"{gib(in_memory)} are more than cache.memory_budget={settings.memory_budget:g} GiB"
    if settings.mode == "memory":
        return "live", f"{large}; raise it, or use cache=disk"
    if limits.disk_not:
        return "live", f"{large}, and {limits.disk_not}" if settings.mode == "auto" else limits.disk_not
    if more > settings.disk_budget * GIB:
        return "live", f"{gib(more)} are more than cache.disk_budget={settings.disk_budget:g} GiB"
    if more > limits.disk_free:
        return "live", f"{gib(more)} are more than the {gib(limits.disk_free)} that are free on the disk"
    return "disk", f"{gib(more)} on disk"


def gib(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
