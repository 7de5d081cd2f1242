"""The grid of the page: the plan as executed."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftlab.reports import numbers
from ftlab.reports.plan import Row, rows
from ftlab.reports.svg import ACCENT, FROZEN, INK, MUTED, WIDTH, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES_AT_MOST = 40  # rows of the plan's picture before neighbours that are alike share a row
NAMES = 2.0  # inches that names and sizes of stages take, about
CHARACTERS = 9.2  # of a phase's title in an inch


def plan_figure(report: dict[str, Any], width: float = WIDTH) -> str:
    """Stages (down, from the input) by phases (across): the stronger the colour, the higher the rate.

    width: inches; more where the rates of all phases would have no room.
    """
    plan = report["plan"]
    shared = rows(report["stages"], plan, collapse=len(report["stages"]) > STAGES_AT_MOST)
    ran = {phase["name"]: phase for phase in report["phases"]}
    with style():
        width = max(width, NAMES + 0.4 * len(plan))
        figure = canvas(width, 0.62 + 0.25 * len(shared))
        axes = figure.subplots()
        for x, phase in enumerate(plan):
            for y, row in enumerate(shared):
                _cell(axes, x, y, row, _strength(row, x, plan), ran.get(phase["phase"]), len(plan))
        room = CHARACTERS * (width - NAMES) / len(plan)
        _plan_labels(axes, shared, [_phase_title(phase, ran, room, x) for x, phase in enumerate(plan)], width)
        return svg(figure, "Stages by phases: what trained, and at which rate")


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


def _phase_title(phase: dict[str, Any], ran: dict[str, Any], room: float, place: int) -> str:
    """In `room` characters: the phase's name and when it ran, or its number alone."""
    done = ran.get(phase["phase"])
    when = "not run" if done is None else f"epoch {numbers.epochs(done['first_epoch'], done['last_epoch'])}"
    if room < 7.5:
        return f"{place + 1}"
    return f"{place + 1} {numbers.shorten(phase['phase'], int(room))}\n{when}"


def _plan_labels(axes: "Axes", shared: Sequence[Row], titles: Sequence[str], width: float) -> None:
    axes.set(xlim=(0, len(titles)), ylim=(len(shared), 0))
    axes.set_xticks([place + 0.5 for place in range(len(titles))], titles)
    axes.set_yticks(
        [place + 0.5 for place in range(len(shared))],
        [numbers.shorten(row.label, 40 if width >= WIDTH else 20) for row in shared],
    )
    for place, row in enumerate(shared):  # a column of its own between the names and the cells
        beside: dict[str, Any] = {"xytext": (-8, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(numbers.count(row.parameters), (0, place + 0.53), color=MUTED, fontsize=8, **beside)
    axes.tick_params(axis="y", pad=56)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(False)
    axes.spines[:].set_visible(False)
