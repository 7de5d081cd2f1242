"""report.html: one page, complete in itself, that shows what a run did and what came of it."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.cache.decide import gib
from ftlab.files.writing import write_text
from ftlab.reports import frozen, numbers
from ftlab.reports.confusion import ClassFigures, from_labels, per_class, worst_pairs
from ftlab.reports.grids import COUNTS_AT_MOST
from ftlab.reports.residuals import drawn_targets, target_rows

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 112  # pixels of the longer side
COLOURS = 64  # of a thumbnail: a photograph takes about 8 kB instead of 30


def write_page(report: dict[str, Any], worst: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the page of a run, atomically.

    worst: {"name", "truth", "prediction", "note"} with "image": PIL image or "cells": {column: text}, in the order of
    the gallery.
    """
    write_text(path, render(report, worst))


def render(report: dict[str, Any], worst: Sequence[dict[str, Any]]) -> str:
    """The page as text; equal input gives equal text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
        classes=_classes(report),
        pairs=_pairs(report),
        targets=target_rows(report),
        gallery=[_pictured(sample) for sample in worst],
        frozen=frozen.rows(report["phases"]),
        places=frozen.PLACES,
        phase_seconds=max([phase["seconds"] for phase in report["phases"]], default=0) or 1,
        warnings=[*report["data"].get("warnings", []), *report["warnings"]],
        config=_yaml(report["config"]),
    )


def _pictured(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample of the gallery whose image, if it has one, is part of the page."""
    image = sample.get("image")
    return {"cells": {}, **sample, "image": data_uri(image) if image is not None else None}


def data_uri(image: "Image") -> str:
    """A small PNG of an image, as text to put into the page."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.quantize(COLOURS).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """What there is to draw; a run that was interrupted early has no curves."""
    from markupsafe import Markup

    from ftlab.reports.figures import curves_figure, rates_figure
    from ftlab.reports.grids import confusion_figure, plan_figure
    from ftlab.reports.residuals import residuals_figure

    figures = {"plan": plan_figure(report)} if report["plan"] else {}
    if report["history"]:
        figures["curves"] = curves_figure(report)
    if any(rate for rates in report["rates"]["groups"].values() for rate in rates):
        figures["rates"] = rates_figure(report)
    if confusion := _confusion(report):
        figures["confusion"] = confusion_figure(confusion, report["data"]["classes"])
    figures |= {f"target {place}": residuals_figure(target) for place, target in enumerate(drawn_targets(report))}
    return {name: Markup(figure) for name, figure in figures.items()}  # matplotlib has escaped their text


def _confusion(report: dict[str, Any]) -> list[list[int]] | None:
    return (report.get("confusion") or {}).get("matrix")


def _classes(report: dict[str, Any]) -> list[ClassFigures]:
    """Quality of every class; of a multilabel task the one that it has counted itself."""
    if confusion := _confusion(report):
        return per_class(confusion, report["data"]["classes"])
    return from_labels(report.get("labels") or [])


def _pairs(report: dict[str, Any]) -> list[Any]:
    """The worst mistakes as a table, where the matrix has no room for its counts."""
    confusion = _confusion(report)
    classes = report["data"].get("classes") or []
    return worst_pairs(confusion, classes) if confusion and len(classes) > COUNTS_AT_MOST else []


def _yaml(config: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
