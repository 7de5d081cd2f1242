"""report.html: one page, complete in itself, that shows what a run did and what came of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab.blocks import Block
from ftlab.cache.decide import gib
from ftlab.files.writing import write_text
from ftlab.reports import frozen, numbers


def write_page(report: dict[str, Any], blocks: Sequence[Block], path: Path) -> None:
    """Write the page of a run, atomically; `blocks`: its results beside the table of all figures.

    Raises: UserError for a block that nothing draws.
    """
    write_text(path, render(report, blocks))


def render(report: dict[str, Any], blocks: Sequence[Block]) -> str:
    """The page as text; equal input gives equal text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from ftlab.reports.blocks.draw import joined, told

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names of classes and files are the user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = (numbers.count, numbers.duration, numbers.figure, numbers.memory, numbers.readable, numbers.shorten)
    environment.filters.update({format.__name__: format for format in (*formats, frozen.signed, gib)})
    environment.globals["epochs"] = numbers.epochs
    return environment.get_template("page.html").render(
        report=report,
        figures=_figures(report),
        blocks=joined(blocks),
        told=set(told(blocks)),
        frozen=frozen.rows(report["phases"]),
        places=frozen.PLACES,
        phase_seconds=max([phase["seconds"] for phase in report["phases"]], default=0) or 1,
        warnings=[*report["data"].get("warnings", []), *report["warnings"]],
        config=_yaml(report["config"]),
    )


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """What there is to draw; a run that was interrupted early has no curves."""
    from markupsafe import Markup

    from ftlab.reports.figures import curves_figure, rates_figure
    from ftlab.reports.grids import plan_figure

    figures = {"plan": plan_figure(report)} if report["plan"] else {}
    if report["history"]:
        figures["curves"] = curves_figure(report)
    if any(rate for rates in report["rates"]["groups"].values() for rate in rates):
        figures["rates"] = rates_figure(report)
    return {name: Markup(figure) for name, figure in figures.items()}  # matplotlib has escaped their text


def _yaml(config: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
