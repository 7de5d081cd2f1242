"""Curves of the page: loss and metrics, and the rate of every group, over the epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftlab.reports import numbers
from ftlab.reports.svg import INK, MUTED, SERIES, WIDTH, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHARACTER = 0.072  # inches that a character of the small labels takes
POINTS_AT_MOST = 400  # of a curve: more cannot be seen and only makes the page large


Scales = Mapping[str, tuple[float, float]]  # from where to where a figure goes


def curves_figure(report: dict[str, Any], scales: Scales | None = None, width: float = WIDTH) -> str:
    """Loss of train and val, and the metrics of val, over the epochs, with the borders of the phases.

    width: inches; the two stand below each other where they have no room side by side.
    """
    history = report["history"]
    epochs = [record["epoch"] + 1 for record in history]
    losses = {
        split: [_number((record.get(split) or {}).get("loss")) for record in history] for split in ("train", "val")
    }
    metrics = _metric_series(report, scales)
    wide = width >= WIDTH
    with style():
        figure = canvas(width, 3.1 if wide else 6.2)
        top, bottom = figure.subplots(*((1, 2) if wide else (2, 1)), gridspec_kw={"wspace": 0.16, "hspace": 0.1})
        _curves(top, epochs, losses, "loss")
        _curves(bottom, epochs, metrics, "metrics of val")
        _mark_best({"loss": top, **dict.fromkeys(metrics, bottom)}, report)
        for axes in (top, bottom):
            _borders(axes, report["phases"], WIDTH * 0.36 if wide else width * 0.8, shift=0.5)
            axes.set_xlabel("epoch")
        return svg(figure, "Loss and metrics over the epochs")


def rates_figure(report: dict[str, Any], width: float = WIDTH) -> str:
    """The rate of every group over the epochs, on a logarithmic scale; groups that are always alike share a line.

    width: inches; the names stand below the lines where they have no room beside them.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    lines = [(label, values) for label, values in _shared_lines(report["rates"]["groups"]) if any(values)]
    ticks, step = report["rates"]["epoch"], max(1, math.ceil(len(report["rates"]["epoch"]) / POINTS_AT_MOST))
    wide, names = width >= WIDTH, 0.19 * len(lines)
    with style():
        figure = canvas(width, max(2.6, 0.5 + names) if wide else 2.6 + names)
        axes = figure.subplots()
        for place, (label, values) in enumerate(lines):
            depth = place / max(1, len(lines) - 1)  # 0 at the input, 1 at the head
            colour = colormaps["plasma"](0.3 + 0.46 * depth)
            positive = [value if value else math.nan for value in map(_number, values)]  # 0 has no logarithm
            # Lines that meet stay visible: the one nearer to the input, which thaws later, is thinner and on top.
            thickness, order = 1.3 + 2.0 * depth, 3 - depth
            axes.plot(ticks[::step], positive[::step], color=colour, label=label, linewidth=thickness, zorder=order)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if _decades(axes) < 2 else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.rate(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="epochs done", ylabel="learning rate")
        _borders(axes, report["phases"], WIDTH * 0.6 if wide else width * 0.75, shift=0.0)
        if lines:  # none of a run that only fits in closed form
            figure.legend(
                loc="outside right upper" if wide else "outside lower left", labelspacing=0.3, handlelength=1.2
            )
        return svg(figure, "Learning rate of every group over the epochs")


def _decades(axes: "Axes") -> float:
    low, high = axes.get_ylim()
    return math.log10(high / low)


def _curves(axes: "Axes", epochs: Sequence[int], series: dict[str, list[float]], title: str) -> None:
    from matplotlib.ticker import MaxNLocator
    from matplotlib.transforms import ScaledTranslation

    for place, (name, values) in enumerate(series.items()):
        if not all(map(math.isnan, values)):
            marker = "o" if len(epochs) <= 30 else None
            axes.plot(epochs, values, color=SERIES[place % len(SERIES)], label=name, marker=marker, markersize=3.2)
    axes.set_title(title, loc="left", pad=18)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:  # below the axes, where it covers no line
        below = axes.transAxes + ScaledTranslation(0, -0.42, axes.figure.dpi_scale_trans)
        where: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
        axes.legend(ncols=3, handlelength=1.2, borderaxespad=0, borderpad=0, **where)


def _metric_series(report: dict[str, Any], scales: Scales | None) -> dict[str, list[float]]:
    """The objective first; the other metrics of val only where they share its scale, and all keep to it.

    scales: None of a report without its task, where what lies between 0 and 1 is of one scale.
    """
    history, objective = report["history"], report["objective"]["name"]
    names = dict.fromkeys(name for record in history for name in record.get("val") or {} if name != "loss")
    series = {name: [_number((record.get("val") or {}).get(name)) for record in history] for name in names}
    if scales is None:
        scales = dict.fromkeys(series, (0.0, 1.0))
    kept = {name: scales[name] for name in series if name in scales and _within(series[name], *scales[name])}
    lead = objective if objective in series else next(iter(kept), None)
    shared = [name for name in series if name == lead or (name in kept and kept[name] == kept.get(lead))]
    return {name: series[name] for name in sorted(shared, key=lambda name: name != objective)[: len(SERIES)]}


def _within(values: Sequence[float], low: float, high: float) -> bool:
    return all(math.isnan(value) or low <= value <= high for value in values)


def _mark_best(drawn: Mapping[str, "Axes"], report: dict[str, Any]) -> None:
    """A ring where the monitored figure is drawn, if it is."""
    best = report.get("best")
    if not best or best.get("value") is None or best["monitor"] not in drawn:
        return
    look: dict[str, Any] = {"markersize": 9, "fillstyle": "none", "color": INK, "markeredgewidth": 1.2}
    drawn[best["monitor"]].plot(best["epoch"] + 1, best["value"], "o", **look)


def _borders(axes: "Axes", phases: Sequence[dict[str, Any]], width: float, shift: float) -> None:
    """A line where a phase starts, and above it the phase's name, or its number where names have no room."""
    spans = [(p["name"], p["first_epoch"] + shift, p["last_epoch"] + 1 + shift) for p in phases]
    spans = [span for span in spans if span[2] > span[1]]
    if not spans:
        return
    start, end = spans[0][1], max(stop for _, _, stop in spans)
    axes.set_xlim(start, end)
    room = all(len(name) * CHARACTER < width * (stop - first) / (end - start) for name, first, stop in spans)
    for place, (name, first, stop) in enumerate(spans, start=1):
        if first > start:
            axes.axvline(first, color=MUTED, alpha=0.6, linewidth=0.7, linestyle=(0, (3, 3)))
        text = numbers.readable(name) if room else str(place)
        where: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text((first + stop) / 2, 1.02, text, color=MUTED, fontsize=7.5, **where)


def _shared_lines(groups: dict[str, list[float | None]]) -> list[tuple[str, list[float | None]]]:
    """Groups whose rates are always equal hide each other: one line, under the first and the last name."""
    alike: dict[tuple[float | None, ...], list[str]] = {}
    for name, values in groups.items():
        alike.setdefault(tuple(values), []).append(name)
    return [
        (numbers.shorten(names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})", 44), list(values))
        for values, names in alike.items()
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
