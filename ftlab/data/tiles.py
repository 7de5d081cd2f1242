"""Large inputs as tiles: each is a sample of its own, and all of one input are in its split."""

from dataclasses import replace

import torch

from ftlab.data.base import Samples, Splits, Tiled
from ftlab.errors import UserError
from ftlab.frames import Size, Window
from ftlab.inputs.base import Cutter
from ftlab.inputs.images.files import TileImages, extent_of
from ftlab.targets.base import Tiles


def tiled(splits: Splits, cutter: Cutter, learned: bool = True) -> Splits:
    """The splits with inputs cut into windows, of a kind that `cutter` cuts at all.

    learned: whether train is to be learned from, so that its tiles show all that lies in them; else as in val and
    test each pixel is judged once. Raises: UserError for inputs of unknown size, or targets that cannot be cut.
    """
    if cutter((1, 1)) is None:
        return splits
    parts, first = {}, 0
    for split, samples in splits.parts().items():
        parts[split] = cut(splits, samples, cutter, first, owned=split != "train" or not learned)
        first += len(samples)
    whole = sum(len(samples) for samples in splits.parts().values())
    pieces = sum(len(samples) for samples in parts.values())
    told = () if whole == pieces else (f"{whole:,} images are cut into {pieces:,} tiles",)
    return replace(splits.having(parts), warnings=(*splits.warnings, *told))


def cut(splits: Splits, samples: Samples, cutter: Cutter, first: int, owned: bool) -> Samples:
    """first: the number of the first group, where the samples have none of their own."""
    of: list[int] = []
    windows: list[Window] = []
    sizes: list[Size] = []
    for place in range(len(samples)):
        if (size := extent_of(samples.inputs, place)) is None:
            raise UserError("data.tile: the sizes of these images are not known; give files, or leave it null")
        here = cutter(size) or ()
        of += [place] * len(here)
        windows += here
        sizes += [size] * len(here)
    tiles = Tiles(torch.tensor(of, dtype=torch.int64), windows, sizes)
    names = [
        f"{samples.name(place)} at {window.left}, {window.top}" if size != (window.height, window.width) else name
        for place, window, size in zip(of, windows, sizes, strict=True)
        for name in [samples.name(place)]
    ]
    return Samples(
        TileImages(samples.inputs, of, windows),
        splits.target.cut(samples.targets, tiles, owned),
        names,
        first + tiles.of if samples.groups is None else samples.groups[tiles.of],
        tiled=Tiled(tiles, samples.targets),
    )
