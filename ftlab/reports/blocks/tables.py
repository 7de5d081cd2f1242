"""A table of the page."""

from markupsafe import Markup

from ftlab.blocks import Cell, Column, Table
from ftlab.reports import numbers


def table(block: Table) -> Markup:
    """Raises: ValueError for a row that has another number of cells than there are columns."""
    columns = [Column(one) if isinstance(one, str) else one for one in block.columns]
    head = Markup("").join(_tagged("th", one, place, one.name) for place, one in enumerate(columns))
    rows = [
        Markup("").join(
            _tagged("td", column, place, _text(cell, column.width))
            for place, (column, cell) in enumerate(zip(columns, row, strict=True))
        )
        for row in block.rows
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


def _text(cell: Cell, width: int) -> str:
    if isinstance(cell, str):
        return numbers.shorten(cell, width)
    return str(cell) if isinstance(cell, int) else numbers.figure(cell)
