"""Figures of the page: matplotlib draws them as SVG, the page's own style sheet colours them.

Ink, rules and frozen cells are drawn in placeholder colours that become CSS variables, and strengths are drawn as
transparency, so that one figure serves the light page, the dark page and paper.
"""

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ftlab.reports import numbers
from ftlab.reports.confusion import Matrix
from ftlab.reports.plan import Row, rows

if TYPE_CHECKING:  # matplotlib takes 0.3 s to import; a run needs it only when it ends
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, FROZEN, ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", FROZEN: "--frozen", ACCENT: "--accent"}
SERIES = ("#3b7dd8", "#e0803a", "#3a9d78", "#9a6dd0", "#cf5570", "#8a8f98")  # readable on white and on near-black
WIDTH = 9.6  # inches: the width of the page's column at 96 pixels an inch
CHARACTER = 0.072  # inches that a character of the small labels takes
POINTS_AT_MOST = 400  # of a curve: more cannot be seen and only makes the page large
STAGES_AT_MOST = 40  # rows of the plan's picture before neighbours that are alike share a row
COUNTS_AT_MOST = 20  # classes whose confusion counts are written into the cells
LABELS_AT_MOST = 100  # classes that are all named along the matrix

STYLE: dict[str, Any] = {
    "svg.hashsalt": "ftlab",  # ids do not change from one run to the next
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 9,
    "axes.titlesize": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def plan_figure(report: dict[str, Any]) -> str:
    """Stages (down, from the input) by phases (across): the stronger the colour, the higher the rate."""
    plan = report["plan"]
    shared = rows(report["stages"], plan, collapse=len(report["stages"]) > STAGES_AT_MOST)
    ran = {phase["name"]: phase for phase in report["phases"]}
    with _style():
        figure = _figure(WIDTH, 0.62 + 0.25 * len(shared))
        axes = figure.subplots()
        for x, phase in enumerate(plan):
            for y, row in enumerate(shared):
                _cell(axes, x, y, row, _strength(row, x, plan), ran.get(phase["phase"]), len(plan))
        _plan_labels(axes, shared, [_phase_title(phase, ran, len(plan), x) for x, phase in enumerate(plan)])
        return _svg(figure, "Stages by phases: what trained, and at which rate")


def curves_figure(report: dict[str, Any]) -> str:
    """Loss of train and val, and the metrics of val, over the epochs, with the borders of the phases."""
    history = report["history"]
    epochs = [record["epoch"] for record in history]
    losses = {split: [_number((record.get(split) or {}).get("loss")) for record in history] for split in ("train", "val")}
    with _style():
        figure = _figure(WIDTH, 2.9)
        left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.16})
        _curves(left, epochs, losses, "loss")
        _curves(right, epochs, _metric_series(report), "metrics of val")
        _mark_best(left, right, report)
        for axes in (left, right):
            _borders(axes, report["phases"], WIDTH * 0.36, before=0.5)
            axes.set_xlabel("epoch")
        return _svg(figure, "Loss and metrics over the epochs")


def rates_figure(report: dict[str, Any]) -> str:
    """The rate of every group over the epochs, on a logarithmic scale; groups that are always alike share a line."""
    from matplotlib import colormaps
    from matplotlib.ticker import FuncFormatter, NullFormatter

    lines = _shared_lines(report["rates"]["groups"])
    ticks, step = report["rates"]["epoch"], max(1, math.ceil(len(report["rates"]["epoch"]) / POINTS_AT_MOST))
    with _style():
        figure = _figure(WIDTH, max(2.6, 0.5 + 0.19 * len(lines)))
        axes = figure.subplots()
        for place, (label, values) in enumerate(lines):
            colour = colormaps["plasma"](0.2 + 0.55 * place / max(1, len(lines) - 1))
            positive = [value if value else math.nan for value in map(_number, values)]  # 0 has no logarithm
            axes.plot(ticks[::step], positive[::step], color=colour, label=label)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.rate(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="epoch", ylabel="learning rate")
        _borders(axes, report["phases"], WIDTH * 0.6, before=0.0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), labelspacing=0.3, handlelength=1.2)
        return _svg(figure, "Learning rate of every group over the epochs")


def confusion_figure(matrix: Matrix, classes: Sequence[str]) -> str:
    """Confusion matrix: rows are the truth, the colour is the share of the row (k classes, k x k counts)."""
    side = min(8.6, max(1.6, 0.42 * len(classes))) if len(classes) <= COUNTS_AT_MOST else 8.2
    with _style():
        figure = _figure(side, side)
        axes = figure.subplots()
        axes.imshow(_shares(matrix), interpolation="none", aspect="equal")
        axes.grid(False)
        if len(classes) <= COUNTS_AT_MOST:
            _counts(axes, matrix)
        _class_labels(axes, [numbers.shorten(name, 22) for name in classes])
        axes.set(xlabel="prediction", ylabel="truth")
        return _svg(figure, "Confusion matrix: rows truth, columns prediction")


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The browser draws the text; that matplotlib's own font lacks a script only makes its measure rough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))  # not pyplot: no global state, no display


def _svg(figure: "Figure", label: str) -> str:
    """The figure as an element to put into a page: no date, no prolog, no ids but those that are referred to."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.03, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    text = re.sub(r' id="[\w.]+_\d+"', "", text)  # figure_1, axes_1, ...: the same in every figure of the page
    return re.sub("|".join(VARIABLES), lambda found: f"var({VARIABLES[found[0]]})", text)


def _cell(axes: "Axes", x: int, y: int, row: Row, strength: float | None, ran: dict[str, Any] | None, phases: int) -> None:
    """One stage in one phase: coloured when it trained, pale when frozen, outlined when the phase never came."""
    from matplotlib.patches import Rectangle

    trained = strength is not None and (ran is None or row.addresses[0] in ran["trainable_stages"])
    colour = ACCENT if trained else FROZEN
    alpha = strength if trained else 1.0
    box = Rectangle((x + 0.02, y + 0.06), 0.96, 0.88, linewidth=0)
    if ran is None:
        box.set(fill=False, edgecolor=colour, linewidth=0.8, linestyle=(0, (2, 2)))
    else:
        box.set(facecolor=colour, alpha=alpha)
    axes.add_patch(box)
    setting = row.settings[x]
    if trained and setting is not None and phases <= 16:
        axes.text(x + 0.5, y + 0.53, numbers.rate(setting.rate), ha="center", va="center", fontsize=8 if phases <= 9 else 7)


def _strength(row: Row, place: int, plan: Sequence[dict[str, Any]]) -> float | None:
    """0.22 for the lowest rate of the plan, 0.75 for the highest, on a logarithmic scale; None when frozen."""
    setting = row.settings[place]
    if setting is None:
        return None
    rates = [s["rate"] for phase in plan for s in phase["stages"].values() if s is not None and s["rate"] > 0]
    if not rates or min(rates) == max(rates) or setting.rate <= 0:
        return 0.22 if setting.rate <= 0 else 0.55
    return 0.22 + 0.53 * math.log(setting.rate / min(rates)) / math.log(max(rates) / min(rates))


def _phase_title(phase: dict[str, Any], ran: dict[str, Any], phases: int, place: int) -> str:
    done = ran.get(phase["phase"])
    when = "not run" if done is None else f"epoch {numbers.epochs(done['first_epoch'], done['last_epoch'])}"
    if phases > 9:
        return f"{place + 1}"
    return f"{place + 1} {numbers.shorten(phase['phase'], int(70 / phases))}\n{when}"


def _plan_labels(axes: "Axes", shared: Sequence[Row], titles: Sequence[str]) -> None:
    axes.set(xlim=(0, len(titles)), ylim=(len(shared), 0))
    axes.set_xticks([place + 0.5 for place in range(len(titles))], titles)
    axes.set_yticks(
        [place + 0.5 for place in range(len(shared))],
        [f"{numbers.shorten(row.label, 40)}   {numbers.count(row.parameters):>6}" for row in shared],
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _curves(axes: "Axes", epochs: Sequence[int], series: dict[str, list[float]], title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, (name, values) in enumerate(series.items()):
        if not all(map(math.isnan, values)):
            marker = "o" if len(epochs) <= 30 else None
            axes.plot(epochs, values, color=SERIES[place % len(SERIES)], label=name, marker=marker, markersize=3.2)
    axes.set_title(title, loc="left", pad=18)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend(loc="best", handlelength=1.2)


def _metric_series(report: dict[str, Any]) -> dict[str, list[float]]:
    """The objective first; the other metrics of val only where they share its scale, 0 to 1."""
    history, objective = report["history"], report["objective"]["name"]
    names = dict.fromkeys(name for record in history for name in record.get("val") or {} if name != "loss")
    series = {name: [_number((record.get("val") or {}).get(name)) for record in history] for name in names}
    shares = {name: values for name, values in series.items() if all(math.isnan(v) or 0 <= v <= 1 for v in values)}
    kept = shares if objective in shares else {name: series[name] for name in names if name == objective} or shares
    return dict(sorted(kept.items(), key=lambda item: item[0] != objective)[: len(SERIES)])


def _mark_best(left: "Axes", right: "Axes", report: dict[str, Any]) -> None:
    best = report.get("best")
    if not best or best.get("value") is None:
        return
    axes = left if best["monitor"].endswith("loss") else right
    axes.plot(best["epoch"], best["value"], "o", markersize=9, fillstyle="none", color=INK, markeredgewidth=1.2)


def _borders(axes: "Axes", phases: Sequence[dict[str, Any]], width: float, before: float) -> None:
    """A line where a phase starts, and above it the phase's name, or its number where names have no room."""
    spans = [(p["name"], p["first_epoch"] - before, p["last_epoch"] + 1 - before) for p in phases]
    spans = [span for span in spans if span[2] > span[1]]
    if not spans:
        return
    start, end = spans[0][1], max(stop for _, _, stop in spans)
    axes.set_xlim(start, end)
    room = all(len(name) * CHARACTER < width * (stop - first) / (end - start) for name, first, stop in spans)
    for place, (name, first, stop) in enumerate(spans, start=1):
        if first > start:
            axes.axvline(first, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        text = numbers.readable(name) if room else str(place)
        where = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
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


def _shares(matrix: Matrix) -> list[list[tuple[float, float, float, float]]]:
    """Colour of each cell: the diagonal blue, mistakes orange, as strong as their share of the row."""
    from matplotlib.colors import to_rgb

    right, wrong = to_rgb(SERIES[0]), to_rgb(SERIES[1])

    def shade(share: float, hit: bool) -> tuple[float, float, float, float]:
        red, green, blue = right if hit else wrong
        # The root lets a few mistakes among thousands be seen.
        return red, green, blue, 0.04 + 0.76 * math.sqrt(share)

    return [
        [shade(count / (sum(row) or 1), truth == place) for place, count in enumerate(row)]
        for truth, row in enumerate(matrix)
    ]


def _counts(axes: "Axes", matrix: Matrix) -> None:
    size = 9 if len(matrix) <= 12 else 7.5
    for truth, row in enumerate(matrix):
        for prediction, count in enumerate(row):
            colour = INK if count else MUTED
            axes.text(prediction, truth, str(count), ha="center", va="center", fontsize=size, color=colour)


def _class_labels(axes: "Axes", names: Sequence[str]) -> None:
    step = math.ceil(len(names) / LABELS_AT_MOST)
    size = 9 if len(names) <= COUNTS_AT_MOST else max(5.5, min(8.0, 480 / len(names)))
    places = range(0, len(names), step)
    long = max(map(len, names)) > 3 or len(names) > COUNTS_AT_MOST
    axes.set_xticks(places, names[::step], rotation=90 if long else 0, fontsize=size)
    axes.set_yticks(places, names[::step], fontsize=size)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
