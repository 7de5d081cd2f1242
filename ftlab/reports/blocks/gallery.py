"""Samples side by side, each with its picture or its cells and what was said of it."""

import base64
import io
from typing import TYPE_CHECKING

from markupsafe import Markup

from ftlab.blocks import Gallery, Sample
from ftlab.reports.numbers import readable, shorten

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 80  # characters: the first dozen numbers of a sequence
COLOURS = 64  # of a thumbnail that is a PNG
QUALITY = 80  # of one that is a JPEG: a photograph takes about 4 kB instead of 8


def gallery(block: Gallery) -> Markup:
    return Markup('<div class="gallery">\n{}</div>\n').format(Markup("").join(map(_sample, block.samples)))


def _sample(one: Sample) -> Markup:
    name, image = readable(one.name), ""
    if one.image is not None:
        image = Markup('<img src="{}" alt="{}">').format(data_uri(one.image, one.side), name)
    answer = Markup("<b>{}</b> {}").format(readable(one.prediction), readable(one.note)) if one.prediction else ""
    truth = readable(one.truth)
    said = Markup("{}<br>is {}").format(answer, truth) if answer and truth else answer or truth
    cells = Markup("").join(
        Markup('<span class="cell">{} <i>{}</i></span>\n').format(shorten(column, 24), shorten(cell, CELL))
        for column, cell in (one.cells or {}).items()
    )
    marked = Markup("").join(
        Markup('<mark class="{}">{}</mark>').format(kind, text) if kind else Markup("{}").format(text)
        for text, kind in one.passage
    )
    cells += Markup('<p class="passage">{}</p>\n').format(marked) if one.passage else Markup("")
    under = Markup('<span title="{}">{}</span>\n').format(name, shorten(one.name, 36))
    return Markup("<div>{}{}{}{}</div>\n").format(image, said, under, cells)


def data_uri(image: "Image", side: int = Sample.side) -> str:
    """An image, `side` pixels on its longer side, as text to put into the page: PNG or JPEG, whichever is shorter."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    png, jpeg = io.BytesIO(), io.BytesIO()
    small.quantize(COLOURS).save(png, format="PNG", optimize=True)
    small.save(jpeg, format="JPEG", quality=QUALITY, optimize=True)
    kind, best = min(("png", png.getvalue()), ("jpeg", jpeg.getvalue()), key=lambda made: len(made[1]))
    return f"data:image/{kind};base64," + base64.b64encode(best).decode()
