"""What freezing bought: where the values of a phase's frozen part came from, what they cost, and what they saved.

`told` is what the callback Caching writes down of a phase, `cache` of a phase in report.json.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.cache.decide import KEPT, gib
from ftlab.reports import numbers

Told = Mapping[str, Any]
Phase = Mapping[str, Any]  # of report.json
PLACES = {"memory": "in memory", "disk": "on disk", "live": "each step", "off": "each step"}


def line(told: Told) -> str:
    """The frozen part of a phase that begins, in one line."""
    place = told["train"]
    if place not in KEPT:
        how = "with the rest of the network at every step" if place == "off" else "at every step"
        return f"frozen part: computed {how}; {told['why']}{_spent(told)}"
    if not told["bytes"]:
        return f"frozen part: {PLACES[place]} since an earlier phase"
    if not told["computed"]:
        return f"frozen part: read from disk, {gib(told['bytes'])}{_spent(told)}"
    rest = ", the rest found on disk" if told["found"] else ""
    samples = f"{told['computed']:,} samples{rest}"
    return f"frozen part: computed once for {samples}, {gib(told['bytes'])} {PLACES[place]}{_spent(told)}"


def _spent(told: Told) -> str:
    return f", {numbers.duration(told['seconds'])}" if told["bytes"] else ""


def place(phase: Phase) -> str:
    """Where a phase took the values of its frozen part from, for training; a dash where nothing is frozen."""
    told = phase["cache"]
    return PLACES[told["train"]] if told and freezes(phase) else numbers.NOTHING


def freezes(phase: Phase) -> bool:
    return bool(phase["trainable_parameters"] < phase["total_parameters"])


def rows(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """The phases that freeze something, as the page shows them; none of a run without a cache."""
    return [
        {
            **phase["cache"],
            "number": number,
            "name": phase["name"],
            "cost": phase["cache"]["seconds"] if phase["cache"]["bytes"] else None,
            "saved": saved(phase["cache"]) if phase["cache"]["read"] else None,
        }
        for number, phase in enumerate(phases, start=1)
        if phase["cache"] and freezes(phase)
    ]


def saved(told: Told) -> float:
    """Seconds, estimated: samples that were read x what one takes to compute, less what was spent; below 0: lost."""
    return float(told["read"] * told["seconds_per_sample"] - told["seconds"])
