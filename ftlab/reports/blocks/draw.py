"""Blocks as HTML: one renderer a class, which is found by it; a new class of blocks brings its own."""

from collections.abc import Iterable, Iterator
from functools import partial, singledispatch

from markupsafe import Markup

from ftlab.blocks import Beside, Block, Chart, Confusion, Gallery, Heading, Note, Table
from ftlab.errors import UserError
from ftlab.reports.blocks.charts import chart_figure
from ftlab.reports.blocks.confusion import confusion_figure
from ftlab.reports.blocks.gallery import gallery
from ftlab.reports.blocks.tables import table
from ftlab.reports.numbers import readable
from ftlab.reports.svg import at_both_widths


@singledispatch
def html(block: object) -> Markup:
    """The block as an element of the page; text in it is escaped. Raises: UserError for what is no block."""
    known = sorted(kind.__name__ for kind in html.registry if kind is not object)
    raise UserError(f"the task's blocks: a {type(block).__name__} cannot be drawn; accepted: {', '.join(known)}")


def joined(blocks: Iterable[Block]) -> Markup:
    return Markup("").join(map(html, blocks))


def told(blocks: Iterable[Block]) -> Iterator[str]:
    """The figures that tables among the blocks show."""
    for block in blocks:
        if isinstance(block, Beside):
            for part in block.parts:
                yield from told(part)
        elif isinstance(block, Table):
            yield from block.shows


@html.register
def _(block: Heading) -> Markup:
    return Markup("<h{0}>{1}</h{0}>\n").format(int(block.level), readable(block.text))


@html.register
def _(block: Note) -> Markup:
    return Markup('<p class="note">{}</p>\n').format(readable(block.text))


@html.register
def _(block: Table) -> Markup:
    return table(block)


@html.register
def _(block: Beside) -> Markup:
    parts = Markup("").join(Markup("<div>\n{}</div>\n").format(joined(part)) for part in block.parts)
    return Markup('<div class="columns">\n{}</div>\n').format(parts)


@html.register
def _(block: Chart) -> Markup:
    return _figure(at_both_widths(partial(chart_figure, block)), block.caption)


@html.register
def _(block: Confusion) -> Markup:
    return _figure(confusion_figure(block), block.caption)


@html.register
def _(block: Gallery) -> Markup:
    return gallery(block)


def _figure(svg: str, caption: str) -> Markup:
    below = Markup("\n<figcaption>{}</figcaption>").format(readable(caption)) if caption else ""
    return Markup("<figure>{}{}</figure>\n").format(Markup(svg), below)  # matplotlib has escaped its text
