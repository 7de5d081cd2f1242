"""What the sections that the shipped tasks give to report.json are drawn as.

Of plain data alone, so that a report.json from long ago needs no task to be drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ftlab.blocks import (
    COUNTS_AT_MOST,
    Axes,
    Bars,
    Beside,
    Block,
    Chart,
    Column,
    Confusion,
    Heading,
    Histogram,
    Line,
    Note,
    Points,
    Rule,
    Table,
)
from ftlab.tasks.answer_section import drawn as answers
from ftlab.tasks.box_section import detection
from ftlab.tasks.confusion import ClassFigures, Matrix, from_labels, per_class, worst_pairs

Report = Mapping[str, Any]
CALIBRATION_BINS = 15  # of ftlab.tasks.calibration, which needs torch
DRAWN_AT_MOST = 12  # targets; a picture has about 60 kB


def blocks_of(report: Report) -> list[Block]:
    """The blocks of each section that is known, of a report.json."""
    return [block for name, draw in SECTIONS.items() if report.get(name) for block in draw(report)]


def confusion(report: Report) -> list[Block]:
    """The matrix, the quality of each class, and the worst mistakes where the matrix has no room for its counts."""
    matrix, classes = report["confusion"]["matrix"], report["data"]["classes"]
    sides = "Rows are the truth, columns the prediction."
    caption = f"{sides} The colour is the share of the row: blue is right, orange is wrong."
    quality = _quality(per_class(matrix, classes))
    parts = [_mistakes(matrix, classes), quality] if len(classes) > COUNTS_AT_MOST else [quality]
    return [
        Heading(f"Confusion, {report['confusion']['split']}"),
        Confusion(matrix, classes, caption),
        Beside([part for part in parts if part]),
    ]


def labels(report: Report) -> list[Block]:
    """The quality of each label, which the task has counted itself."""
    return [Beside([_quality(from_labels(report["labels"]))])]


def _intervals(residuals: Report) -> list[Block]:
    """How wide they are, and how often they hold what they should."""
    if not (found := residuals.get("intervals")):
        return []
    each = (f"{one['target']} ± {one['radius']:.4g} ({one['inside']:.1%})" for one in found["targets"])
    wanted = f"Intervals that are to hold {found['coverage']:.0%}, as wide as val says"
    return [Note(f"{wanted}, and how much of {residuals['split']} they hold: {', '.join(each)}")]


def residuals(report: Report) -> list[Block]:
    """The figures of each target where there are several, and a picture of each."""
    found, split = report["residuals"]["targets"], report["residuals"]["split"]
    means = "Means over the targets. " if len(found) > 1 else ""
    units = (
        "rmse and mae are in the units of the data, mse in their squares; the loss is taken of targets in standard "
        "deviations, mape is a share of the true value, and r2 has no unit."
    )
    blocks: list[Block] = [Note(means + units), *_intervals(report["residuals"])]
    if len(found) > 1:
        blocks += [Heading(f"Each target, {split}"), _each(found, report["metrics"][split])]
    for target in found[:DRAWN_AT_MOST]:
        blocks += [Heading(f"{target['target']}, {split}"), _errors(target)]
    if len(found) > DRAWN_AT_MOST:
        blocks.append(Note(f"Only the first {DRAWN_AT_MOST} targets are drawn; report.json holds all."))
    return blocks


def per_segment(matrix: Matrix, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Of each class how well its pixels are found; None where nothing defines a figure."""
    return [
        {
            "label": one.label,
            "iou": one.f1 / (2 - one.f1) if one.f1 is not None else None,
            "dice": one.f1,
            "precision": one.precision,
            "recall": one.recall,
            "pixels": one.support,
        }
        for one in per_class(matrix, classes)
    ]


def segments(report: Report) -> list[Block]:
    """How well each class is found, and what its pixels are taken for."""
    found = report["segments"]
    names = ("label", "iou", "dice", "precision", "recall", "pixels")
    rows = [[one[name] for name in names] for one in found["classes"]]
    percent = [[round(100 * count / max(1, sum(row))) for count in row] for row in found["matrix"]]
    caption = "Rows are the truth, columns the prediction, in percent of the pixels of the true class."
    return [
        Heading(f"Classes, {found['split']}"),
        *([Note(means_of(len(rows), found["background"]))] if "background" in found else []),  # of old reports none
        Table(("class", *names[1:]), rows, scrolls=True),
        Heading("What pixels are taken for"),
        Confusion(percent, report["data"]["classes"], caption),
    ]


def means_of(classes: int, background: str | None) -> str:
    """What the figures that are means over classes are means of."""
    if background is None:
        return f"iou and dice are means over all {classes} classes; none of them is the background (task.background=)."
    left = f"iou_foreground leaves '{background}' out"
    return f"iou and dice are means over all {classes} classes, '{background}' among them; {left}."


def calibration(report: Report) -> list[Block]:
    """How often answers are right beside how sure they are."""
    found = report["calibration"]
    if not found["bins"]:
        return []
    sure, right, samples = ([one[name] for one in found["bins"]] for name in ("sure", "right", "samples"))
    edges = [place / CALIBRATION_BINS for place in range(CALIBRATION_BINS + 1)]
    counts = dict(zip((round(one["from"] * CALIBRATION_BINS) for one in found["bins"]), samples, strict=True))
    marks = (Line((0, 1), (0, 1), thin=True), Line(sure, right, dots=True))
    heights = Histogram(edges, [counts.get(place, 0) for place in range(CALIBRATION_BINS)])
    before, eased = found.get("before"), ""
    if before is not None:
        eased = f", {before:.4f} before the outputs were divided by the temperature {found['temperature']:.3f}"
    caption = (
        "On the line an answer that is sure by 0.8 is right in 8 of 10 cases; below it answers are too sure. "
        f"Expected calibration error: {found['error']:.4f}{eased}."
    )
    panels = (
        Axes(marks, "right answers", "how sure", "share that is right"),
        Axes((heights,), "answers", "how sure", "samples"),
    )
    return [Heading(f"How sure, {found['split']}"), Chart(panels, "Right answers by how sure they are", caption)]


SECTIONS: dict[str, Callable[[Report], list[Block]]] = {
    "residuals": residuals,
    "confusion": confusion,
    "calibration": calibration,
    "labels": labels,
    "detection": detection,
    "segments": segments,
    "answers": answers,
}


def _mistakes(matrix: Matrix, classes: Sequence[str]) -> list[Block]:
    pairs = worst_pairs(matrix, classes)
    if not pairs:
        return []
    columns = (Column("truth", width=32), Column("prediction", left=True, width=32), "count", "of its class")
    rows = [(pair.truth, pair.prediction, pair.samples, f"{100 * pair.share:.1f} %") for pair in pairs]
    return [Heading("Most frequent mistakes"), Table(columns, rows)]


def _quality(rows: Sequence[ClassFigures]) -> list[Block]:
    columns = ("class", "precision", "recall", "f1", "support")
    return [Heading("Quality of each class"), Table(columns, rows, scrolls=True)]


def _each(targets: Sequence[Mapping[str, Any]], metrics: Mapping[str, float | None]) -> Table:
    """One row a target, of the figures that are called metric/target."""
    names = [name for name in metrics if "/" not in name and name != "loss"]
    rows = [(t["target"], *(metrics.get(f"{name}/{t['target']}") for name in names)) for t in targets]
    shows = [name for name in metrics if "/" in name]
    return Table((Column("target", wraps=True), *names), rows, shows=shows)


def _errors(target: Mapping[str, Any]) -> Chart:
    """Three panels of one target: predicted against true, histogram of the errors, error by range of the truth."""
    return Chart(
        (_scatter(target["points"]), _histogram(target["histogram"]), _ranges(target["ranges"])),
        "Predicted against true, errors, and errors by the true value",
        "Predicted against true: right on the line. Errors: prediction minus truth. Error by true value: mean absolute "
        "error of samples by their true value, and as a line the mean error (above zero: predicted too high).",
    )


def _scatter(points: Sequence[Sequence[float]]) -> Axes:
    true, predicted = ([point[side] for point in points] for side in (0, 1))
    ends = [min(true + predicted), max(true + predicted)] if points else []
    return Axes((Line(ends, ends, thin=True), Points(true, predicted)), "predicted against true", "true", "predicted")


def _histogram(histogram: Mapping[str, Any]) -> Axes:
    marks = (Histogram(histogram["edges"], histogram["counts"]), Rule(0, upright=True))
    return Axes(marks, "errors", "predicted - true", "samples")


def _ranges(ranges: Sequence[Mapping[str, Any]]) -> Axes:
    marks = (
        Bars([part["mae"] for part in ranges], "mean absolute error"),
        Line(range(len(ranges)), [part["bias"] for part in ranges], "mean error", dots=True),
        Rule(0),
    )
    places = [f"{_short(part['low'])} … {_short(part['high'])}" for part in ranges]
    return Axes(marks, "error by true value", places=places)


def _short(value: float) -> str:
    """Three digits: 0.0123, 640, 12.8k, 3.37M."""
    rounded = float(f"{value:.3g}")
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if size <= abs(rounded) < 10**9:
            return f"{rounded / size:g}{unit}"
    return f"{rounded:g}"
