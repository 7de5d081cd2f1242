"""What the report tells of boxes: curves, confusion, classes and sizes.

Shapes: k classes.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

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
    Line,
    Note,
    Rule,
    Table,
)
from ftlab.targets.ragged import Parts
from ftlab.tasks.box_matches import THRESHOLDS, Judged, confusion, counts_at, curve, f1_at, interpolated, judged
from ftlab.tasks.counts import quality

RECALLS = np.linspace(0, 1, 101)
SIZES = (0, 8, 16, 32, 64, 96, 128, 256, 512)  # pixels of a square of the same area
BACKGROUND = "background"
COLOURS = (  # of ftlab.tasks.box_drawing
    "Upon the images below, true boxes are green, or yellow where none was found; boxes that were found are blue, or "
    "orange where wrong."
)
DRAWN = 2  # classes whose curves are drawn beside the mean


def section(found: Sequence[Parts], true: Sequence[Parts], classes: Sequence[str], score: float) -> dict[str, Any]:
    """Plain numbers of a split; `score`: from which a box counts."""
    every = judged(found, true, len(classes))
    curves = [interpolated(*curve(every, k), RECALLS) for k in range(len(classes))]
    counted = [int((one["scores"] >= score).sum()) for one in found]
    held = [int((~one["crowd"]).sum()) for one in true]
    there = [number for number, one in zip(curves, every.true, strict=True) if one]
    return {
        "score": score,
        "recall": RECALLS.tolist(),
        "precision": np.mean(there, axis=0).tolist() if there else [],
        "classes": of_classes(every, curves, classes, score),
        "f1": {"score": THRESHOLDS.tolist(), "f1": [f1_at(every, one) for one in THRESHOLDS]},
        "confusion": confusion(found, true, len(classes), score).tolist(),
        "sizes": by_size(every, score),
        "images": {"found": np.bincount(counted).tolist(), "true": np.bincount(held).tolist()},
    }


def of_classes(
    every: Judged, curves: Sequence[np.ndarray], classes: Sequence[str], score: float
) -> list[dict[str, Any]]:
    said, right = counts_at(every, score)
    rows = []
    for k, name in enumerate(classes):
        precision, recall, f1 = quality(int(right[k]), int(said[k]), int(every.true[k]))
        figures = {"precision": precision, "recall": recall, "f1": f1, "support": int(every.true[k])}
        ap = float(curves[k].mean()) if every.true[k] else None
        rows.append({"class": name, "ap_50": ap, **figures, "curve": curves[k].tolist()})
    return rows


def by_size(every: Judged, score: float) -> list[dict[str, Any]]:
    """The share of true boxes that are found, by the side of a square of their area; ranges without boxes left out."""
    sides, hit = np.sqrt(every.areas), every.reached >= score
    rows = []
    for low, high in pairwise([*SIZES, np.inf]):
        within = (sides >= low) & (sides < high)
        if within.any():
            most = None if np.isinf(high) else high
            rows.append({"low": low, "high": most, "true": int(within.sum()), "recall": float(hit[within].mean())})
    return rows


# --- what is drawn of it


def detection(report: Mapping[str, Any]) -> list[Block]:
    """The blocks of the section `detection` of a report.json."""
    own, classes = report["detection"], report["data"]["classes"]
    split, matrix = own["split"], own["confusion"]
    rows = [
        [one[name] for name in ("class", "ap_50", "precision", "recall", "f1", "support")] for one in own["classes"]
    ]
    columns = (Column("class", wraps=True), "ap_50", "precision", "recall", "f1", "support")
    shows = [f"map/{name}" for name in classes]
    counts = f"Boxes count from a score of {own['score']:.2f}"
    pairs = mistakes(matrix, [*classes, BACKGROUND]) if len(classes) >= COUNTS_AT_MOST else []
    caption = (
        f"Rows are the truth, columns what was found. {BACKGROUND} as the truth: nothing was there; as what was found: "
        "the object was missed."
    )
    return [
        Note(f"{counts}, and are right where they overlap a true one of their class by half. Sizes are in pixels of "
             "the original images."),
        Heading(f"Precision and recall, {split}"),
        curves(own),
        Heading(f"Each class, {split}"),
        Table(columns, rows, scrolls=True, shows=shows),
        Heading(f"Confusion, {split}"),
        Confusion(matrix, [*classes, BACKGROUND], caption),
        *pairs,
        Heading(f"Sizes and numbers, {split}"),
        Chart((sizes(own["sizes"]), numbers(own["images"])), "Recall by size, and boxes an image"),
        Note(COLOURS),
    ]  # fmt: skip


def curves(own: Mapping[str, Any]) -> Chart:
    """The mean over the classes and the lowest of them, then F1 by the score."""
    judged_ = [one for one in own["classes"] if one["ap_50"] is not None]
    named = sorted(judged_, key=lambda one: one["ap_50"])[:DRAWN] if len(judged_) > 1 else []
    lines = [Line(own["recall"], own["precision"], "mean of the classes")] if own["precision"] else []
    lines += [Line(own["recall"], one["curve"], f"{one['class']} ({one['ap_50']:.2f})") for one in named]
    marks = (Line(own["f1"]["score"], own["f1"]["f1"]), Rule(own["score"], upright=True))
    return Chart(
        (Axes(lines, "precision by recall", "recall", "precision"), Axes(marks, "F1 by score", "score", "mean F1")),
        "Precision by recall, and F1 by the score from which boxes count",
        f"Precision at IoU 0.5 of all classes, and of the {len(named)} with the lowest average precision (in brackets)."
        if named
        else "Precision at IoU 0.5.",
    )


def mistakes(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> list[Block]:
    from ftlab.tasks.confusion import worst_pairs

    pairs = worst_pairs(matrix, names, limit=10)
    if not pairs:
        return []
    columns = (Column("truth", width=32), Column("found", left=True, width=32), "count", "of its class")
    rows = [(one.truth, one.prediction, one.samples, f"{100 * one.share:.1f} %") for one in pairs]
    return [Beside([[Heading("Most frequent mistakes"), Table(columns, rows)]])]


def sizes(rows: Sequence[Mapping[str, Any]]) -> Axes:
    places = [f"{one['low']} … {one['high'] or ''} ({one['true']})" for one in rows]
    return Axes([Bars([one["recall"] for one in rows])], "recall by size", "side in pixels (boxes)", places=places)


def numbers(images: Mapping[str, Sequence[int]]) -> Axes:
    """How many images have so many boxes."""
    lines = [Line(range(len(each)), each, side, dots=True) for side, each in images.items()]
    return Axes(lines, "boxes an image", "boxes", "images")
