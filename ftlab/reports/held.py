"""Which weights a run has kept, in words."""

from collections.abc import Mapping
from typing import Any

from ftlab.reports import numbers


def judged(report: Mapping[str, Any], split: str) -> str:
    """What a column of figures is called: those of val are of the first fit where a refit has learned from val."""
    return f"{split} (first fit)" if split == "val" and report.get("refit") else split


def held(report: dict[str, Any]) -> str:
    """The epoch and phase whose weights the bundle holds, and the figure that chose them.

    The report has at least one epoch; what it counts from 0 is counted from 1 here.
    """
    best, last, blend = report.get("best"), report["history"][-1]["epoch"], report.get("blend")
    epoch = blend["epoch"] if blend else last if best is None else best["epoch"]
    place, phase = next(
        (place, phase)
        for place, phase in enumerate(report["phases"], start=1)
        if phase["first_epoch"] <= epoch <= phase["last_epoch"]
    )
    again = report.get("refit")
    if blend:
        way = f"what lies {blend['chosen']:.0%} of the way from the fitted head to epoch {epoch + 1}"
        figure = numbers.figure(blend["values"][blend["shares"].index(blend["chosen"])])
        end = f"(phase {place}, {numbers.readable(phase['name'])}): val {blend['monitor']} {figure}"
        return f"the bundle holds {way} {end}"
    holds = f"a refit on train and val together, {again['samples']:,} samples, up to " if again else ""
    where = f"the bundle holds {holds}epoch {epoch + 1} (phase {place}, {numbers.readable(phase['name'])})"
    if best is None:
        return f"{where}, the last: no figure of val chose among them"
    text = f"{where}: {judged(report, 'val')} {best['monitor']} {numbers.figure(best['value'])}"
    over = best.get("over")  # reports of earlier versions have none
    if over is None:
        return text
    return f"{text}; epoch {over['epoch'] + 1} had {numbers.figure(over['value'])}, no more than chance may give"
