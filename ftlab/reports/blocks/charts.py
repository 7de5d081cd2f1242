"""Charts of the page: panels of lines, points, bars and histograms."""

import math
from collections.abc import Mapping
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from ftlab.blocks import Axes, Bars, Chart, Histogram, Line, Points, Rule
from ftlab.errors import UserError
from ftlab.reports.numbers import readable, shorten
from ftlab.reports.svg import INK, SERIES, WIDTH, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Canvas

HEIGHT = 3.0  # inches of a row of panels
ABREAST = 3  # panels of a row of the page: more are too narrow to read
LEGEND = 0.16  # of the height of a panel, for each line of its legend
THIN: Mapping[str, Any] = {"color": INK, "linewidth": 0.8, "alpha": 0.6}


def chart_figure(chart: Chart, width: float = WIDTH) -> str:
    """width: inches; panels that have no room side by side stand below each other."""
    abreast = max(1, round(ABREAST * width / WIDTH))
    rows = math.ceil(len(chart.axes) / abreast)
    with style():
        figure = canvas(width, HEIGHT * rows)
        panels = figure.subplots(rows, min(len(chart.axes), abreast), squeeze=False).flatten()
        for panel, axes in zip(panels, chart.axes, strict=False):
            _panel(panel, axes)
        for panel in panels[len(chart.axes) :]:
            panel.set_axis_off()
        return svg(figure, chart.label)


def _panel(panel: "Canvas", axes: Axes) -> None:
    """Each series in a colour of its own; what others are held against in that of the text."""
    from matplotlib.ticker import MaxNLocator

    quiet = [isinstance(mark, Rule) or (isinstance(mark, Line) and mark.thin) for mark in axes.marks]
    for place, mark in enumerate(axes.marks):
        number = sum(not one for one in quiet[:place])
        told = {"label": readable(label)} if (label := _label(mark)) else {}
        draw(mark, panel, {"color": SERIES[number % len(SERIES)], **told})
    if axes.places:
        names = [shorten(name, 22) for name in axes.places]
        panel.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(5))  # long numbers would touch
    panel.set_title(readable(axes.title), loc="left")
    panel.set(xlabel=readable(axes.x), ylabel=readable(axes.y))
    if named := sum(bool(_label(mark)) for mark in axes.marks):
        low, high = panel.get_ylim()
        panel.set_yticks([tick for tick in panel.get_yticks() if low <= tick <= high])
        panel.set_ylim(low, high + LEGEND * named * (high - low))  # a legend covers no mark
        panel.spines["left"].set_bounds(low, high)  # and the scale ends where the marks do
        panel.legend(loc="upper left", handlelength=1.2)


def _label(mark: object) -> str:
    return mark.label if isinstance(mark, Line | Points | Bars) else ""


@singledispatch
def draw(mark: object, panel: "Canvas", look: Mapping[str, Any]) -> None:
    """Draw the mark on the panel. Raises: UserError for what is no mark."""
    known = sorted(kind.__name__ for kind in draw.registry if kind is not object)
    raise UserError(f"a chart of the task's blocks: a {type(mark).__name__} is no mark; accepted: {', '.join(known)}")


@draw.register(Line)
def _(mark: Line, panel: "Canvas", look: Mapping[str, Any]) -> None:
    dots: Mapping[str, Any] = {"marker": "o", "markersize": 3.5} if mark.dots else {}
    if len(mark.x):
        panel.plot(mark.x, mark.y, **{**look, **dots, **(THIN if mark.thin else {})})


@draw.register(Points)
def _(mark: Points, panel: "Canvas", look: Mapping[str, Any]) -> None:
    panel.plot(mark.x, mark.y, "o", markersize=3, alpha=0.5, markeredgewidth=0, **look)


@draw.register(Bars)
def _(mark: Bars, panel: "Canvas", look: Mapping[str, Any]) -> None:
    panel.bar(range(len(mark.heights)), mark.heights, alpha=0.7, **look)


@draw.register(Histogram)
def _(mark: Histogram, panel: "Canvas", look: Mapping[str, Any]) -> None:
    if len(mark.counts):
        panel.stairs(mark.counts, mark.edges, fill=True, alpha=0.7, **look)


@draw.register(Rule)
def _(mark: Rule, panel: "Canvas", look: Mapping[str, Any]) -> None:
    (panel.axvline if mark.upright else panel.axhline)(mark.at, **THIN)
