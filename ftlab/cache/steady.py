"""Whether a data set gives the same input each time it is read; one with an augmentation of its own does not."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ftlab.batch import Fields
from ftlab.inputs.base import Inputs, Transform
from ftlab.inputs.images.files import ArrayImages, ImageFiles, TileImages
from ftlab.inputs.views import Joined, Selected

READ = 4  # samples; each is read twice
WHY_NOT = (
    "the data set gives another input each time it is read, as one that varies its images by itself does; "
    "leave that to augment=..."
)


def is_steady(inputs: Inputs, transform: Transform) -> bool:
    """Of inputs of a class that ftlab does not know: whether they come again, and nothing is drawn for them."""
    if isinstance(inputs, Joined):
        return all(is_steady(part, transform) for part in inputs.several)
    while isinstance(inputs, Selected | TileImages):
        inputs = inputs.inputs if isinstance(inputs, Selected) else inputs.images
    if isinstance(inputs, ArrayImages | ImageFiles | list):
        return True
    with restored():
        before = drawn()
        same = all(equal(transform(inputs[place]), transform(inputs[place])) for place in range(min(READ, len(inputs))))
        return same and drawn() == before


def equal(a: Fields, b: Fields) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def drawn() -> tuple[object, ...]:
    """What changes when anybody draws a number."""
    _, numbers, *rest = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), np.asarray(numbers).tobytes(), *rest, random.getstate()


@contextmanager
def restored() -> Iterator[None]:
    """The generators of all three go on as if nobody had drawn."""
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
