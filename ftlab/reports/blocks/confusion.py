"""The confusion matrix of the page."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftlab.blocks import COUNTS_AT_MOST, Confusion
from ftlab.reports import numbers
from ftlab.reports.svg import INK, MUTED, SERIES, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Matrix = Sequence[Sequence[int]]
LABELS_AT_MOST = 100  # classes that are all named along the matrix


def confusion_figure(block: Confusion) -> str:
    """Rows are the truth, the colour is the share of the row (k classes, k x k counts)."""
    matrix, classes = block.matrix, block.classes
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
