"""Grids of the page: the plan as executed, and the confusion matrix."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftlab.reports import numbers
from ftlab.reports.confusion import Matrix
from ftlab.reports.plan import Row, rows
from ftlab.reports.svg import ACCENT, FROZEN, INK, MUTED, SERIES, WIDTH, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES_AT_MOST = 40  # rows of the plan's picture before neighbours that are alike share a row
COUNTS_AT_MOST = 20  # classes whose confusion counts are written into the cells
LABELS_AT_MOST = 100  # classes that are all named along the matrix


def plan_figure(report: dict[str, Any]) -> str:
    """Stages (down, from the input) by phases (across): the stronger the colour, the higher the rate."""
    plan = report["plan"]
    shared = rows(report["stages"], plan, collapse=len(report["stages"]) > STAGES_AT_MOST)
    ran = {phase["name"]: phase for phase in report["phases"]}
    with style():
        figure = canvas(WIDTH, 0.62 + 0.25 * len(shared))
        axes = figure.subplots()
        for x, phase in enumerate(plan):
            for y, row in enumerate(shared):
                _cell(axes, x, y, row, _strength(row, x, plan), ran.get(phase["phase"]), len(plan))
        _plan_labels(axes, shared, [_phase_title(phase, ran, len(plan), x) for x, phase in enumerate(plan)])
        return svg(figure, "Stages by phases: what trained, and at which rate")


def confusion_figure(matrix: Matrix, classes: Sequence[str]) -> str:
    """Confusion matrix: rows are the truth, the colour is the share of the row (k classes, k x k counts)."""
    side = min(8.6, max(1.6, 0.42 * len(classes))) if len(classes) <= COUNTS_AT_MOST else 8.2
    with style():
        figure = canvas(side, side, fill=False)
        axes = figure.subplots()
        axes.imshow(_shares(matrix), interpolation="none", aspect="equal")
        axes.grid(False)
        if len(classes) <= COUNTS_AT_MOST:
            _counts(axes, matrix)
        _class_labels(axes, [numbers.shorten(name, 22) for name in classes])
        axes.set(xlabel="prediction", ylabel="truth")
        return svg(figure, "Confusion matrix: rows truth, columns prediction")


def _cell(
    axes: "Axes", x: int, y: int, row: Row, strength: float | None, ran: dict[str, Any] | None, phases: int
) -> None:
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
        axes.text(
            x + 0.5, y + 0.53, numbers.rate(setting.rate), ha="center", va="center", fontsize=8 if phases <= 9 else 7
        )


def _strength(row: Row, place: int, plan: Sequence[dict[str, Any]]) -> float | None:
    """0.22 for the lowest rate of the plan, 0.75 for the highest, on a logarithmic scale; None when frozen."""
    setting = row.settings[place]
    if setting is None:
        return None
    if setting.rate is None:
        return 0.75  # a convex fit goes all the way
    rates = [s["rate"] for phase in plan for s in phase["stages"].values() if s is not None and s["rate"]]
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
        [numbers.shorten(row.label, 40) for row in shared],
    )
    for place, row in enumerate(shared):  # a column of its own between the names and the cells
        beside: dict[str, Any] = {"xytext": (-8, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(numbers.count(row.parameters), (0, place + 0.53), color=MUTED, fontsize=8, **beside)
    axes.tick_params(axis="y", pad=56)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(False)
    axes.spines[:].set_visible(False)


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
