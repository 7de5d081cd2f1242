"""`ftlab lr-find`: the losses of a few steps at rising learning rates, before a run."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ftlab.assembly import assemble
from ftlab.blocks import Axes, Block, Chart, Line, Rule, Table
from ftlab.config import plainly
from ftlab.errors import UserError
from ftlab.finishing import say
from ftlab.rates.suggesting import LEAST
from ftlab.reports.plain_page import write_plain
from ftlab.reports.terminal import table_of
from ftlab.run import command, loaders, new_file
from ftlab.run_settings import typed

if TYPE_CHECKING:  # it imports lightning
    from ftlab.training.trials.range_test import Curve

NAMES = ("steepest", "valley", "minimum")
MOST = 20  # of a factor between two steps: with more, the suggestions are too coarse to be of use


def lr_find(config: Any) -> list[dict[str, Any]]:
    """Print a suggestion a phase, and write the picture; nothing of a run is made or changed.

    Returns: {phase, rates, losses, suggested} of each phase that was tried.
    Raises: UserError as a run of the same settings, and for rates that do not rise.
    """
    from ftlab.training.trainer import check_devices
    from ftlab.training.trials.automatic import chosen
    from ftlab.training.trials.range_test import range_tests

    settings = plainly(config, resolve=True)
    if settings["resume"]:
        raise UserError("resume=...: lr-find looks at what a new run would begin with; leave it out")
    rates = rising(settings["find"])
    output = new_file(settings, "output") if settings["output"] else None
    check_devices(typed(settings).trainer)
    settings = {**settings, "optimizer": {**settings["optimizer"], "lr": 1.0}}  # which is what is looked for
    parts = assemble(settings)
    console = Console()
    found, lines = chosen(parts, settings, Path(), partial(loaders, parts))
    say(lines, console)
    own = typed(found)
    descending = [phase for phase in parts.phases if phase.fit == "gradient"]
    phases = descending if settings["find"]["phases"] == "all" else descending[:1]
    curves = range_tests(parts, loaders(parts, own), own, phases, rates)
    console.print(table(curves))
    say(remarks(curves), console)
    if output:
        title = f"{parts.model.backbone.name} on {parts.spec.name}: losses at rising learning rates"
        write_plain(output, "lr-find", title, blocks(curves), command("lr-find"))
        say([f"curves  {output}"], console)
    return [
        {"phase": one.phase, "rates": one.rates, "losses": one.losses, "suggested": one.suggested} for one in curves
    ]


def rising(find: Mapping[str, Any]) -> tuple[float, float, int]:
    """Raises: UserError for rates that do not rise, or by steps too large to tell anything."""
    low, high, steps = float(find["lowest"]), float(find["highest"]), int(find["steps"])
    if low >= high:
        raise UserError(f"find.lowest={low:g}: is not below find.highest={high:g}")
    if steps < 2 or (high / low) ** (1 / (steps - 1)) > MOST:
        raise UserError(f"find.steps={steps}: too few from {low:g} to {high:g}; give more")
    return low, high, steps


def table(curves: Sequence["Curve"]) -> Any:
    found = table_of("phase", *NAMES, "least loss", "at", left=("phase",))
    for curve in curves:
        least = min(curve.smoothed)
        cells = [f"{curve.suggested[name]:.2g}" if name in curve.suggested else "none" for name in NAMES]
        found.add_row(curve.phase, *cells, f"{least:.4g}", f"{curve.rates[curve.smoothed.index(least)]:.2g}")
    return found


def remarks(curves: Sequence["Curve"]) -> list[str]:
    flat = (
        f"the loss fell by less than {LEAST:.0%} at any rate: too few steps, or the head is fitted so well that every"
    )
    flat += " rate first does harm (strategy.head_init=random tells more)"
    said = [f"phase {curve.phase}: {flat}" for curve in curves if not curve.suggested]
    return [*said, "optimizer.lr=RATE takes one of them, and all stages keep their ratios; auto takes the valley"]


def blocks(curves: Sequence["Curve"]) -> list[Block]:
    """Losses over rates, and the suggestions, as pieces of a page."""
    panels = [
        Axes(
            [
                Line([log10(rate) for rate in curve.rates], curve.losses, "each step", thin=True),
                Line([log10(rate) for rate in curve.rates], curve.smoothed, "smoothed"),
                *(Rule(log10(rate), upright=True) for rate in curve.suggested.values()),
            ],
            title=f"phase {curve.phase}",
            x="log10 of optimizer.lr",
            y="training loss",
        )
        for curve in curves
    ]
    rows = [[curve.phase, *(curve.suggested.get(name) for name in NAMES)] for curve in curves]
    return [Chart(panels, "training loss over learning rates"), Table(("phase", *NAMES), rows)]
