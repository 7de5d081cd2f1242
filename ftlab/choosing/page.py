"""What a choice tells: a table in the terminal, and auto.html."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ftlab.choosing.halving import is_ahead
from ftlab.choosing.journal import SHORT, Entry
from ftlab.files.writing import write_text
from ftlab.reports import numbers
from ftlab.reports.jobs import short_error
from ftlab.reports.page import template
from ftlab.reports.terminal import table_of

Rows = Mapping[str, Mapping[str, Any]]  # of the jobs, by the name of their folder
Journal = Mapping[str, Any]


def best_of(steps: Sequence[Entry], rows: Rows) -> Entry | None:
    """The step with the best objective; of ones that differ by rounding the first, so the plain default where nothing
    beats it."""
    known = [step for step in steps if step["counts"] and rows[str(step["job"])]["objective"] is not None]
    signs = {"max": 1.0, "min": -1.0}

    def value(step: Entry) -> float:
        row = rows[str(step["job"])]
        return float(signs[row["mode"]] * row["objective"])

    best = None
    for step in known:
        if best is None or is_ahead(value(step), value(best)):
            best = step
    return best


def named(step: Entry) -> str:
    return f"{step['name']}, short" if step["stage"] == SHORT else str(step["name"])


def came(step: Entry, rows: Rows) -> str:
    """What came of a step, in a few words."""
    if step["job"] is None:
        return f"not tried: {step['skipped']}"
    row = rows[str(step["job"])]
    if row["error"] is not None:
        return f"failed: {short_error(row['error'])}"
    return f"ended: {row['pruned']}" if row["pruned"] is not None else ""


def print_steps(journal: Journal, rows: Rows, best: Entry | None, console: Console) -> None:
    """All that was tried, in its order, then what that cost."""
    steps = journal["steps"]
    ran = [step for step in steps if step["job"] is not None and not came(step, rows)]
    table = table_of("folder", "tried", f"val {journal['look']['objective']}", "time", "", left=("tried", ""))
    values = numbers.figures(rows[str(step["job"])]["objective"] for step in ran)
    for step, value in zip(ran, values, strict=True):
        time = numbers.duration(step["seconds"])
        style = "bold" if step is best else None
        table.add_row(str(step["job"]), Text(named(step)), value, time, "best" if step is best else "", style=style)
    console.print(table)
    for step in steps:
        if step["job"] is not None and (text := came(step, rows)):
            console.print(Text(f"{named(step)}: {text}"), soft_wrap=True)
    if late := dict.fromkeys(step["name"] for step in steps if step["job"] is None):
        console.print(Text(f"no time was left for: {', '.join(late)}"), soft_wrap=True)
    count = len([step for step in steps if step["job"] is not None])
    console.print(f"{numbers.plural(count, 'run')}, {numbers.duration(journal['seconds'])}", highlight=False)


def write_auto(path: Path, title: str, journal: Journal, rows: Rows, best: Entry | None, again: str | None) -> None:
    """Write the page, atomically. again: what one types to repeat the best run."""
    write_text(path, render(title, journal, rows, best, again))


def render(title: str, journal: Journal, rows: Rows, best: Entry | None, again: str | None) -> str:
    """The page as text; equal input gives equal text."""
    steps = journal["steps"]
    return template("auto.html").render(
        title=title,
        look=journal["look"],
        best=best,
        row=rows[str(best["job"])] if best else None,
        first=rows[str(steps[0]["job"])],
        lessons=[
            lesson(step, steps, rows)
            for step in steps
            if step["round"] and step["job"] is not None and step is not against(step, steps)
        ],
        untried=[(named(s), s["why"], s["source"], came(s, rows)) for s in steps if s["job"] is None],
        steps=[
            (named(step), step, rows[str(step["job"])], came(step, rows)) for step in steps if step["job"] is not None
        ],
        seconds=journal["seconds"],
        again=again,
    )


def against(step: Entry, steps: Sequence[Entry]) -> Entry:
    """What a step is to be held against: the short run of what stood, or of whole ones the plain default."""
    short = next((s for s in steps if s["round"] == step["round"] and s["name"] == "as it stands"), steps[0])
    return short if step["stage"] == SHORT else steps[0]


def lesson(step: Entry, steps: Sequence[Entry], rows: Rows) -> dict[str, Any]:
    """A step beside what it is to be held against, and what it gained."""
    beside = against(step, steps)
    row, other = rows[str(step["job"])], rows[str(beside["job"])]
    gain = gained(row["objective"], other["objective"], 1 if row["mode"] == "max" else -1)
    return {"name": named(step), "why": step["why"], "source": step["source"], "gain": gain, "against": named(beside)}


def gained(value: float | None, other: float | None, sign: int) -> float | None:
    """sign: 1 where a higher figure is better, else -1. None where a run has no figure; 0 where it is but rounding."""
    if value is None or other is None:
        return None
    return sign * (value - other) if is_ahead(value, other) or is_ahead(other, value) else 0.0
