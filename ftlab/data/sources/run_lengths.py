"""Masks as COCO writes them: lengths of runs, column by column, of pixels outside and inside in turn.

Source: the format of the COCO API (Lin et al. 2014), whose texts hold 5 bits a letter, from the third number on the
difference to the one two places before. Shapes: h height, w width.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

FIRST = 48  # the letter that stands for 0


def mask_of(run_lengths: Mapping[str, Any]) -> np.ndarray:
    """(h, w) bool of {"size": [h, w], "counts": numbers or a text}. Raises: ValueError for what is none."""
    try:
        height, width = (int(side) for side in run_lengths["size"])
        counts = run_lengths["counts"]
        lengths = _read(counts) if isinstance(counts, str) else [int(count) for count in counts]
    except (KeyError, TypeError, IndexError, ValueError):
        raise ValueError("accepted: size [height, width] and counts, numbers or a text") from None
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(f"its runs are of {sum(lengths)} pixels, its size of {height} x {width}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _read(text: str) -> list[int]:
    found: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            letter = ord(text[place]) - FIRST
            value |= (letter & 31) << shift
            shift, place, more = shift + 5, place + 1, bool(letter & 32)
        if letter & 16:  # a negative number, whose sign fills the rest
            value -= 1 << shift
        found.append(value + found[-2] if len(found) > 2 else value)
    return found


def around(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The box around what is inside. Raises: ValueError where nothing is."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("nothing is inside")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
