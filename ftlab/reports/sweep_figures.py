"""Figures of a sweep's page, from its rows (see reports.jobs): the best over time, slices, parallel lines, fronts."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from ftlab.reports import numbers
from ftlab.reports.svg import ACCENT, INK, MUTED, SERIES, WIDTH, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]
SLICES = 8  # keys that are drawn at most
LINES = 200  # of parallel coordinates at most


def scale(values: Sequence[str | None]) -> tuple[list[float], list[str] | None, bool]:
    """Places of the values of a key on an axis, the names of the places where these are no numbers, and whether the
    axis is logarithmic: of numbers above 0 that lie further apart than a factor of 30."""
    try:
        found = [math.nan if value is None else float(value) for value in values]
    except ValueError:
        names = sorted({str(value) for value in values if value is not None})
        return [math.nan if value is None else names.index(value) for value in values], names, False
    known = [value for value in found if not math.isnan(value)]
    return found, None, bool(known) and min(known) > 0 and max(known) / min(known) > 30


def history_figure(rows: Rows, maximises: bool, name: str, width: float = WIDTH) -> str:
    """Each job's objective in the order of the jobs, and the best so far."""
    done = [(place, row["objective"]) for place, row in enumerate(rows, start=1) if row["objective"] is not None]
    so_far = [(max if maximises else min)(value for _, value in done[: n + 1]) for n in range(len(done))]
    with style():
        figure = canvas(width, 2.6)
        axes = figure.subplots()
        axes.plot([place for place, _ in done], [value for _, value in done], "o", color=MUTED, markersize=4, alpha=0.7)
        axes.step([place for place, _ in done], so_far, where="post", color=ACCENT)
        axes.set(xlabel="job", ylabel=name)
        return svg(figure, f"{name} of each job, and the best so far")


def importance_figure(shares: Mapping[str, float], width: float = WIDTH) -> str:
    """A bar a key."""
    names = list(shares)[::-1]
    with style():
        figure = canvas(width, 0.5 + 0.3 * len(names))
        axes = figure.subplots()
        axes.barh(range(len(names)), [shares[name] for name in names], color=ACCENT, height=0.6)
        axes.set_yticks(range(len(names)), [numbers.shorten(name, 24) for name in names])
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share of the spread of the objective")
        return svg(figure, "Importance of each key")


def slices_figure(rows: Rows, keys: Sequence[str], name: str, width: float = WIDTH) -> str:
    """The objective over each key by itself."""
    keys, done = keys[:SLICES], [row for row in rows if row["objective"] is not None]
    across = min(len(keys), 3 if width >= WIDTH else 1)
    down = -(-len(keys) // across)
    with style():
        figure = canvas(width, 2.3 * down)
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        for place, axes in enumerate(grid.flat):
            if place >= len(keys):
                axes.set_visible(False)
                continue
            at, names, log = scale([row["overrides"].get(keys[place]) for row in done])
            axes.plot(at, [row["objective"] for row in done], "o", color=ACCENT, markersize=4, alpha=0.6)
            _axis(axes, names, log)
            axes.set_xlabel(numbers.shorten(keys[place], 30))
        for first in grid[:, 0]:
            first.set_ylabel(name)
        return svg(figure, f"{name} over each key")


def _axis(axes: "Axes", names: Sequence[str] | None, log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.rate(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if names is not None:
        axes.set_xticks(range(len(names)), [numbers.shorten(name, 14) for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)


def parallel_figure(rows: Rows, keys: Sequence[str], maximises: bool, name: str, width: float = WIDTH) -> str:
    """A line a job through its values, the darker the better; the last axis is the objective."""
    from matplotlib import colormaps

    done = sorted((row for row in rows if row["objective"] is not None), key=lambda row: row["objective"])
    done = (done if maximises else done[::-1])[-LINES:]
    columns = [*((key, [row["overrides"].get(key) for row in done]) for key in keys[:SLICES])]
    places = [_share(*scale(values)) for _, values in columns] + [
        _share([row["objective"] for row in done], None, False)
    ]
    with style():
        figure = canvas(width, 3.2)
        axes = figure.subplots()
        for rank, line in enumerate(zip(*(found for found, _, _ in places), strict=True)):
            depth = rank / max(1, len(done) - 1)
            axes.plot(range(len(line)), line, color=colormaps["plasma"](0.85 - 0.7 * depth), alpha=0.25 + 0.6 * depth)
        labels = [*(key for key, _ in columns), name]
        room = 22 if width >= WIDTH else 9
        axes.set_xticks(range(len(labels)), [numbers.shorten(label.rpartition(".")[2], room) for label in labels])
        for at, (_, low, high) in enumerate(places):
            for text, height in ((low, -0.04), (high, 1.04)):
                side: dict[str, Any] = {"ha": "center", "va": "top" if height < 0 else "bottom"}
                axes.text(at, height, numbers.shorten(text, 16 if width >= WIDTH else 8), color=INK, fontsize=8, **side)
        axes.set(ylim=(-0.15, 1.15), yticks=[])
        axes.spines["left"].set_visible(False)
        return svg(figure, "Values of each job, and its objective")


def _share(found: Sequence[float], names: Sequence[str] | None, log: bool) -> tuple[list[float], str, str]:
    """Places from 0 to 1, and what stands at both ends; what a job lacks is in the middle."""
    known = [value for value in found if not math.isnan(value)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    ends = (names[0], names[-1]) if names else (f"{low:.4g}", f"{high:.4g}")
    if log:
        found, low, high = [math.log(value) for value in found], math.log(low), math.log(high)
    width = high - low
    return [0.5 if math.isnan(value) or not width else (value - low) / width for value in found], *ends


def front_figure(
    points: Sequence[tuple[float, float]], front: Sequence[int], names: Sequence[str], width: float
) -> str:
    """Two objectives against each other; those that none is better than in both are ringed and joined."""
    with style():
        figure = canvas(width, 3.0)
        axes = figure.subplots()
        axes.plot([x for x, _ in points], [y for _, y in points], "o", color=MUTED, markersize=4, alpha=0.7)
        ringed = sorted(points[place] for place in front)
        axes.step([x for x, _ in ringed], [y for _, y in ringed], "o-", where="post", color=ACCENT, markersize=6)
        axes.set(xlabel=names[0], ylabel=names[1])
        return svg(figure, f"{names[1]} against {names[0]}")


def sizes_figure(lines: Mapping[str, Mapping[float, Sequence[float]]], name: str, width: float = WIDTH) -> str:
    """The objective over the number of training samples: mean and standard deviation over seeds, a line a setting."""
    with style():
        figure = canvas(width, 3.2 if width >= WIDTH else 3.2 + 0.2 * len(lines))
        axes = figure.subplots()
        for place, (label, found) in enumerate(lines.items()):
            sizes = sorted(found)
            means = [fmean(found[size]) for size in sizes]
            spread = [stdev(found[size]) if len(found[size]) > 1 else 0.0 for size in sizes]
            look: dict[str, Any] = {
                "color": SERIES[place % len(SERIES)],
                "marker": "os^Dvx"[place % 6],
                "markersize": 4,
            }
            axes.errorbar(sizes, means, spread, label=numbers.shorten(label, 40), capsize=2, elinewidth=0.8, **look)
        _axis(axes, None, log=True)
        axes.set_xticks(sorted({size for found in lines.values() for size in found}))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set(xlabel="training samples", ylabel=name)
        figure.legend(loc="outside right upper" if width >= WIDTH else "outside lower left", handlelength=1.2)
        return svg(figure, f"{name} over the number of training samples")
