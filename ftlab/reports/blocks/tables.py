"""A table of the page."""

from collections.abc import Sequence

from markupsafe import Markup

from ftlab.blocks import Cell, Column, Table
from ftlab.reports import numbers


def table(block: Table) -> Markup:
    """Raises: ValueError for a row that has another number of cells than there are columns."""
    columns = [Column(one) if isinstance(one, str) else one for one in block.columns]
    head = Markup("").join(_tagged("th", one, place, one.name) for place, one in enumerate(columns))
    upright = zip(*block.rows, strict=True) if block.rows else [()] * len(columns)
    texts = [_texts(cells, column.width) for column, cells in zip(columns, upright, strict=True)]
    rows = [
        Markup("").join(_tagged("td", columns[place], place, text) for place, text in enumerate(row))
        for row in zip(*texts, strict=True)
    ]
    lines = Markup("").join(Markup("<tr>{}</tr>\n").format(line) for line in [head, *rows])
    styles = "box scroll" if block.scrolls else "box"
    return Markup('<div class="{}"><table>\n{}</table></div>\n').format(styles, lines)


def _tagged(tag: str, column: Column, place: int, text: str) -> Markup:
    """A cell; the style sheet puts those of the first column to the left."""
    styles = ["name"] if column.wraps and tag == "td" else []
    styles += ["left"] if column.left and place else []
    chosen = Markup(' class="{}"').format(" ".join(styles)) if styles else ""
    return Markup("<{0}{1}>{2}</{0}>").format(tag, chosen, text)


def _texts(cells: Sequence[Cell], width: int) -> list[str]:
    """Of one column, whose figures are written alike."""
    shown = iter(numbers.figures(cell for cell in cells if cell is None or isinstance(cell, float)))
    return [
        numbers.shorten(cell, width) if isinstance(cell, str) else str(cell) if isinstance(cell, int) else next(shown)
        for cell in cells
    ]
