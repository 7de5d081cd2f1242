"""The plan as rows: which stages share which settings in every phase. Pure functions for terminal and page."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """How a stage trains in one phase; a frozen stage has None instead."""

    rate: float | None  # None: fitted without gradient descent
    weight_decay: float | None


class Row(NamedTuple):
    """Neighbouring stages of one part that are treated alike in every phase."""

    addresses: tuple[str, ...]
    parameters: int
    settings: tuple[Setting | None, ...]  # one a phase

    @property
    def label(self) -> str:
        return span(self.addresses)


class Run(NamedTuple):
    """Neighbouring stages of one part that train in one phase; their rates may differ."""

    addresses: tuple[str, ...]
    parameters: int
    settings: tuple[Setting, ...]  # one a stage

    @property
    def label(self) -> str:
        return span(self.addresses)


def part(address: str) -> str:
    return address.partition("/")[0]


def span(addresses: Sequence[str]) -> str:
    """backbone/blocks.0 … blocks.8: the part is named once."""
    first, last = addresses[0], addresses[-1]
    return first if first == last else f"{first} … {last.removeprefix(part(first) + '/')}"


def rows(stages: Sequence[dict[str, Any]], plan: Sequence[dict[str, Any]], collapse: bool = True) -> list[Row]:
    """One row a stage, from the input to the output; neighbours that are alike in every phase share one."""
    single = [
        Row((s["address"],), s["parameters"], tuple(_setting(phase, s["address"]) for phase in plan)) for s in stages
    ]
    if not collapse:
        return single
    return [
        Row(tuple(r.addresses[0] for r in alike), sum(r.parameters for r in alike), alike[0].settings)
        for alike in _groups(single, lambda row: (part(row.addresses[0]), row.settings))
    ]


def runs(stages: Sequence[dict[str, Any]], phase: dict[str, Any], collapse: bool = True) -> list[Run]:
    """What trains in one phase, as runs of neighbouring stages (or stage by stage)."""
    single = [(s["address"], s["parameters"], _setting(phase, s["address"])) for s in stages]
    found = []
    for group in _groups(single, lambda item: (part(item[0]), item[2] is None) if collapse else item[0]):
        settings = tuple(setting for _, _, setting in group if setting is not None)
        if settings:
            found.append(Run(tuple(a for a, _, _ in group), sum(p for _, p, _ in group), settings))
    return found


def weight_decays(plan: Iterable[dict[str, Any]]) -> list[float]:
    """Every weight decay that the plan uses, smallest first."""
    settings = [s for phase in plan for s in phase["stages"].values() if s is not None]
    return sorted({s["weight_decay"] for s in settings if s["weight_decay"] is not None})


def _setting(phase: dict[str, Any], address: str) -> Setting | None:
    setting = phase["stages"].get(address)
    return None if setting is None else Setting(setting["rate"], setting["weight_decay"])


def _groups(items: Iterable[Any], key: Callable[[Any], Any]) -> list[list[Any]]:
    return [list(group) for _, group in groupby(items, key)]
