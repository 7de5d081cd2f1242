"""What the intervals of figures, and a trivial predictor beside them, come to in words."""

from collections.abc import Mapping
from typing import Any

from ftlab.reports import numbers

Report = Mapping[str, Any]


LEVEL = "95 %"  # heads the column of intervals


def interval(report: Report, split: str, name: str, value: float | None) -> str:
    """0.9740 to 1.0000, with the digits of the figure, which is `value`; "" where there is none."""
    ends = report.get("intervals", {}).get(split, {}).get(name)
    return "" if ends is None else numbers.between(ends, numbers.figure(value))


def how(report: Report) -> str:
    """What the intervals are of: 95 %: of 1,000 resamples of 269 samples (val) and 40 groups (test); "" without any."""
    found = report.get("resampled", {})
    if not any(report.get("intervals", {}).values()):
        return ""
    drawn = {split: f"{one['units']:,} {one['of']}" for split, one in found.items()}
    several = " and ".join(f"{what} ({split})" if len(drawn) > 1 else what for split, what in drawn.items())
    first = next(iter(found.values()))
    counts = dict.fromkeys(f"{one['resamples']:,}" for one in found.values())
    return f"{100 * first['level']:g} % intervals, by {' and '.join(counts)} resamples of {several}"


def no_better(report: Report, metrics: Mapping[str, Mapping[str, float | None]], name: str) -> list[str]:
    """A line for each split whose figure `name` is no better than a trivial predictor's."""
    said = []
    for split, found in report.get("trivial", {}).items():
        beside, value = found.get(name), metrics[split].get(name)
        if beside is None or value is None or beside["verdict"] == "better":
            continue
        ends = interval(report, split, name, value)
        figure = f"{split} {name} {numbers.figure(value)}" + (f" ({ends})" if ends else "")
        said.append(f"{figure}: {beside['verdict']} than {beside['says']} ({numbers.figure(beside['value'])})")
    return said
