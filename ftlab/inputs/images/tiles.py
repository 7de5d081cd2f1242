"""Which tiles a large image is cut into: arithmetic."""

import math

from ftlab.errors import UserError
from ftlab.frames import Size, Window

LEAST = 32  # pixels of a side, below which a network sees next to nothing
MOST_OVERLAP = 0.9  # share of a side; with more of it the tiles would be without number


def check(tile: int, overlap: float) -> None:
    """Raises: UserError for what is no tile."""
    if tile < LEAST:
        raise UserError(f"data.tile={tile}: accepted is {LEAST} pixels or more, or null")
    if not 0 <= overlap <= MOST_OVERLAP:
        raise UserError(f"data.tile_overlap={overlap}: accepted is 0 to {MOST_OVERLAP}, a share of the tile's side")


def starts(side: int, tile: int, overlap: float = 0.0) -> list[int]:
    """Where the fewest tiles begin that cover a side, evenly spaced, two neighbours sharing `overlap` of a tile or
    more; [0] for a side that is shorter than a tile."""
    if side <= tile:
        return [0]
    count = 1 + math.ceil(round((side - tile) / (tile * (1 - overlap)), 6))
    return [round(place * (side - tile) / (count - 1)) for place in range(count)]


def windows(size: Size, tile: int, overlap: float) -> list[Window]:
    """The tiles of an image of `size`, row by row; the whole image where it is no larger than one."""
    height, width = (min(side, tile) for side in size)
    return [
        Window(top, left, height, width)
        for top in starts(size[0], tile, overlap)
        for left in starts(size[1], tile, overlap)
    ]
