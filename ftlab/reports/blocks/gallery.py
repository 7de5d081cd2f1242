"""Samples side by side, each with its picture or its cells and what was said of it."""

import base64
import io
from typing import TYPE_CHECKING

from markupsafe import Markup

from ftlab.blocks import Gallery, Sample
from ftlab.reports.numbers import readable, shorten

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 112  # pixels of the longer side
COLOURS = 64  # of a thumbnail: a photograph takes about 8 kB instead of 30


def gallery(block: Gallery) -> Markup:
    return Markup('<div class="gallery">\n{}</div>\n').format(Markup("").join(map(_sample, block.samples)))


def _sample(one: Sample) -> Markup:
    name, image = readable(one.name), ""
    if one.image is not None:
        image = Markup('<img src="{}" alt="{}">').format(data_uri(one.image), name)
    said = Markup("<b>{}</b> {}").format(readable(one.prediction), readable(one.note))
    if one.truth:
        said += Markup("<br>is {}").format(readable(one.truth))
    cells = Markup("").join(
        Markup('<span class="cell">{} <i>{}</i></span>\n').format(shorten(column, 24), shorten(cell, 24))
        for column, cell in (one.cells or {}).items()
    )
    under = Markup('<span title="{}">{}</span>\n').format(name, shorten(one.name, 36))
    return Markup("<div>{}{}{}{}</div>\n").format(image, said, under, cells)


def data_uri(image: "Image") -> str:
    """A small PNG of an image, as text to put into the page."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.quantize(COLOURS).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
