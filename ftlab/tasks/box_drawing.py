"""Boxes on a picture."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ftlab.targets.ragged import Parts
from ftlab.tasks.box_matches import NONE, matched

TRUE, MISSED, FOUND, WRONG = "#2ca25f", "#ffd92f", "#3182bd", "#e6550d"  # told apart by the colour-blind too
SHORT = 12  # characters of a name beside a box


def compared(image: Image.Image, found: Parts, true: Parts, classes: Sequence[str]) -> Image.Image:
    """A copy with the true boxes, and upon them those that were found; boxes in pixels of the image."""
    answer = matched(found, true)
    hit = set(answer.tolist())
    truth = [
        (box, "", TRUE if place in hit else MISSED)
        for place, (box, crowd) in enumerate(zip(true["boxes"].tolist(), true["crowd"].tolist(), strict=True))
        if not crowd
    ]
    parts = zip(found["boxes"].tolist(), found["labels"].tolist(), answer.tolist(), strict=True)
    return draw(image, [*truth, *((b, classes[label], WRONG if one == NONE else FOUND) for b, label, one in parts)])


def draw(image: Image.Image, boxes: Sequence[tuple[Sequence[float], str, str]]) -> Image.Image:
    """A copy with (box, name, colour) each."""
    copy = image.convert("RGB")
    copy = copy.copy() if copy is image else copy
    pen, side = ImageDraw.Draw(copy), max(image.size)
    font: Any = ImageFont.load_default(max(9, side // 40))
    for box, _, colour in boxes:
        pen.rectangle([*box], outline=colour, width=max(1, side // 250))
    for box, name, colour in boxes:
        if name:
            label = name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"
            place = (box[0] + 1, max(0.0, box[1] - font.size))
            pen.rectangle(pen.textbbox(place, label, font=font), fill=colour)
            pen.text(place, label, fill="white", font=font)
    return copy
