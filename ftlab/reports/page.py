"""report.html: one page, complete in itself, that shows what a run did and what came of it, or an evaluation."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.blocks import Block
from ftlab.cache.decide import gib
from ftlab.files.writing import write_text
from ftlab.reports import frozen, intervals, numbers
from ftlab.reports.figures import Scales, curves_figure, rates_figure
from ftlab.reports.held import held, judged
from ftlab.reports.svg import at_both_widths
from ftlab.yaml_text import dumped

if TYPE_CHECKING:
    from jinja2 import Template


def write_page(report: dict[str, Any], blocks: Sequence[Block], scales: Scales, path: Path) -> None:
    """Write the page of a run, atomically; see `render`."""
    write_text(path, render(report, blocks, scales))


def render(report: dict[str, Any], blocks: Sequence[Block], scales: Scales | None = None) -> str:
    """The page as text; equal input gives equal text.

    blocks: the results beside the table of all figures. scales: see Task.scales; None of a report without its task.
    Raises: UserError for a block that nothing draws.
    """
    from ftlab.reports.blocks.draw import joined, told

    told_frozen = frozen.rows(report["phases"])
    return template("page.html").render(
        report=report,
        subject=subject(report),
        environment={**report["environment"], **_listed(report["environment"])},
        figures=_figures(report, scales),
        blocks=joined(blocks),
        told=set(told(blocks)),
        held=held(report) if report["history"] else "",
        frozen=told_frozen,
        places=frozen.PLACES,
        frozen_saved=sum(frozen.saved(row) for row in told_frozen),
        phase_shares=[phase["trainable_parameters"] / phase["total_parameters"] for phase in report["phases"]],
        phase_seconds=max([phase["seconds"] for phase in report["phases"]], default=0) or 1,
        warnings=[*report["data"].get("warnings", []), *report["warnings"]],
        config=dumped(report["config"]),
    )


def write_evaluation(report: dict[str, Any], blocks: Sequence[Block], main: str, path: Path) -> None:
    """Write the page of an evaluation, atomically; `main`: the figure to show first.

    Raises: UserError for a block that nothing draws.
    """
    from ftlab.reports.blocks.draw import joined, told

    drawn = {"blocks": joined(blocks), "told": set(told(blocks))}
    first = [main] if main in report["metrics"][report["split"]] else []
    write_text(path, template("evaluation.html").render(report=report, main=first, **drawn))


def subject(report: dict[str, Any]) -> str:
    """What a person calls the data: their file, set or folder; the option where it has none."""
    data = report["config"].get("data") or {}
    root, file = data.get("root") or "", data.get("file")
    named = "/".join(Path(root, file).parts[-2:]) if file else data.get("dataset") or Path(root).name
    return str(named or report["data"]["name"])


def _listed(facts: dict[str, Any]) -> dict[str, str]:
    return {name: ", ".join(fact) or "none" for name, fact in facts.items() if isinstance(fact, list)}


def template(name: str) -> "Template":
    """A page's template, with the filters that all of them share."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names of classes and files are the user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    single = (numbers.count, numbers.duration, numbers.figure, numbers.memory, numbers.readable, numbers.shorten, gib)
    columns = (numbers.durations, numbers.memories, numbers.percents, numbers.rows_of, numbers.with_intervals)
    of_report = (intervals.how, intervals.interval, judged)
    environment.filters.update({format.__name__: format for format in (*single, *columns, *of_report)})
    environment.globals["epochs"] = numbers.epochs
    return environment.get_template(name)


def _figures(report: dict[str, Any], scales: Scales | None) -> dict[str, Any]:
    """What there is to draw; a run that was interrupted early has no curves."""
    from markupsafe import Markup

    from ftlab.reports.grids import plan_figure

    figures = {"plan": partial(plan_figure, report)} if report["plan"] else {}
    if report["history"]:
        figures["curves"] = partial(curves_figure, report, scales)
    if any(rate for rates in report["rates"]["groups"].values() for rate in rates):
        figures["rates"] = partial(rates_figure, report)
    return {name: Markup(at_both_widths(draw)) for name, draw in figures.items()}  # matplotlib has escaped their text
