"""sweep.html: one page, complete in itself, about all jobs of a multirun, a search or a comparison."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from ftlab.files.writing import write_text
from ftlab.patterns import shorten
from ftlab.reports import numbers, pairs, sweep_figures
from ftlab.reports.best import best_row
from ftlab.reports.jobs import objective_of
from ftlab.reports.page import template
from ftlab.reports.svg import at_both_widths
from ftlab.reports.sweep import SEEDS, by_mean, over_seeds, ranked, setting_of, varied

SUBSET = "subset"
Row = dict[str, Any]


def write_sweep_page(rows: Sequence[Row], path: Path, title: str, search: Mapping[str, Any], again: str | None) -> None:
    """Write the page, atomically. search: what search.json says, empty of a grid; again: how to repeat the best run."""
    write_text(path, render(rows, title, search, again))


def render(rows: Sequence[Row], title: str, search: Mapping[str, Any], again: str | None) -> str:
    """The page as text; equal input gives equal text."""
    keys = [key for key in varied(rows) if key not in SEEDS]
    spread = over_seeds(rows)
    whole, fewer = by_mean(spread) if spread else ([], [])
    groups, best = [*whole, *fewer], best_row(rows)
    return template("sweep.html").render(
        title=title,
        objective=objective_of(rows),
        rows=ranked(rows),
        best=best,
        keys=keys,
        settings=partial(settings, keys=keys),
        objectives=numbers.figures(row["objective"] for row in ranked(rows)),
        groups=groups,
        means=numbers.spreads([(group["mean"], group["std"]) for group in groups]),
        tests=numbers.spreads([(group["test_mean"], group["test_std"]) for group in groups]),
        costs=[costs(rows, group["overrides"]) for group in groups],
        pairs=pairs.pairs(rows),
        said=pairs.said,
        test=pairs.TEST,
        counts={
            "jobs": len(rows),
            "ended well": sum(row["error"] is None and row["pruned"] is None for row in rows),
            "pruned": sum(row["pruned"] is not None for row in rows),
            "failed": sum(row["error"] is not None for row in rows),
        },
        warnings=warned(rows),
        figures={name: drawn(draw) for name, draw in figures(rows, keys, search).items()},
        search=search,
        again=again,
    )


def settings(overrides: Mapping[str, str], keys: Sequence[str]) -> str:
    return " ".join(f"{key}={overrides[key]}" for key in keys if key in overrides) or "as typed"


def costs(rows: Sequence[Row], setting: Mapping[str, str]) -> dict[str, Any]:
    """Means of what the jobs of a setting cost."""
    own = [row for row in rows if setting_of(row) == setting]

    def mean(key: str) -> float | None:
        values = [row[key] for row in own if row[key] is not None]
        return sum(values) / len(values) if values else None

    return {key: mean(key) for key in ("seconds", "peak_memory_bytes", "trainable_parameters")}


def warned(rows: Sequence[Row]) -> list[str]:
    found = sorted((text, row["job"]) for row in rows for text in row["warnings"] or ())
    return [f"{text} (folder {shorten([job for _, job in same])})" for text, same in groupby(found, lambda one: one[0])]


def drawn(draw: Callable[[float], str]) -> Any:
    from markupsafe import Markup

    return Markup(at_both_widths(draw))  # matplotlib has escaped its text


def figures(rows: Sequence[Row], keys: Sequence[str], search: Mapping[str, Any]) -> dict[str, Callable[[float], str]]:
    """What there is to draw."""
    done = [row for row in rows if row["objective"] is not None]
    modes = {row["mode"] for row in done}
    if len(modes) != 1 or not keys:
        return {}
    maximises, name = modes == {"max"}, objective_of(rows)
    found: dict[str, Callable[[float], str]] = {}
    if lines := by_size(done):
        found["sizes"] = partial(sweep_figures.sizes_figure, lines, name)
    if search:
        found["history"] = partial(sweep_figures.history_figure, rows, maximises, name)
        if search["importance"]:
            found["importance"] = partial(sweep_figures.importance_figure, search["importance"])
        if len(keys) > 1:
            found["parallel"] = partial(sweep_figures.parallel_figure, rows, keys, maximises, name)
        if len(search["directions"]) > 1:
            found["front"] = partial(_front, search)
    if len(done) > 2 and not lines:
        found["slices"] = partial(sweep_figures.slices_figure, rows, keys, name)
    return found


def by_size(done: Sequence[Row]) -> dict[str, dict[float, list[float]]]:
    """Objectives by setting and number of training samples, where `subset` varies; else nothing."""
    if len({row["samples"] for row in done if row["overrides"].get(SUBSET)} - {None}) < 2:
        return {}
    keys = [key for key in varied(done) if key not in (*SEEDS, SUBSET)]
    found: dict[str, dict[float, list[float]]] = {}
    for row in done:
        if row["samples"]:
            line = found.setdefault(settings(row["overrides"], keys), {})
            line.setdefault(row["samples"], []).append(row["objective"])
    return found


def _front(search: Mapping[str, Any], width: float) -> str:
    """The first two objectives; the front itself is of all."""
    done = [one for one in search["trials"] if one["values"]]
    points = [(one["values"][1], one["values"][0]) for one in done]
    front = [place for place, one in enumerate(done) if one["number"] in search["front"]]
    names = list(search["directions"])
    return sweep_figures.front_figure(points, front, [names[1], names[0]], width)
