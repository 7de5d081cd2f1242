"""Masks as pictures: their colours, and over the images that they are of.

Shapes: h and w height and width, k classes.
"""

import numpy as np
from PIL import Image

STRENGTH = 0.55  # of a class's colour over the image
OUTLINE = (255, 255, 255)


def palette(classes: int) -> list[tuple[int, int, int]]:
    """A colour for each class, the first black, by the bits of its number as those of PASCAL VOC's masks are."""
    return [_colour(label) for label in range(classes)]


def _colour(label: int) -> tuple[int, int, int]:
    bits = [sum((label >> (3 * place + channel) & 1) << (7 - place) for place in range(8)) for channel in range(3)]
    return bits[0], bits[1], bits[2]


def as_palette_image(mask: np.ndarray, classes: int) -> Image.Image:
    """A mask (h, w) as an image of numbers, with a palette where one byte tells all classes."""
    if classes > 256:
        return Image.fromarray(mask.astype(np.uint16))
    found = Image.fromarray(mask.astype(np.uint8), mode="P")
    found.putpalette([channel for colour in palette(256) for channel in colour])
    return found


def overlaid(
    image: Image.Image, mask: np.ndarray, truth: np.ndarray | None = None, background: int | None = None
) -> Image.Image:
    """The image with each pixel of `mask` (h, w) in the colour of its class, and the outlines of `truth` in white.

    background: the class that is left as it is; so is what has a negative number.
    """
    pixels = np.asarray(image.convert("RGB"), np.float32)
    shown = (mask >= 0) & (mask != (-1 if background is None else background))
    colours = np.array(palette(int(mask.max(initial=0)) + 1), np.float32)[np.maximum(mask, 0)]
    found = np.where(shown[..., None], pixels + STRENGTH * (colours - pixels), pixels).astype(np.uint8)
    if truth is not None:
        found[outlines(truth)] = OUTLINE
    return Image.fromarray(found)


def outlines(mask: np.ndarray) -> np.ndarray:
    """(h, w) where a pixel's right or lower neighbour is of another class."""
    found = np.zeros(mask.shape, bool)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    return found
