"""Crowns of trees in four aerial pictures, labelled by hand, that come with the package deepforest.

Shapes: n tiles, t pixels of a side, h and w height and width of a picture, m boxes.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.sources.annotated import Judge, Mark, Picture
from ftlab.data.sources.pascal_voc import sheet_of
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.paths import printable
from ftlab.frames import Frame, Size
from ftlab.inputs.images.files import ArrayImages, load_image
from ftlab.problems import Fault
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.ragged import Parts, Ragged

PICTURES = (
    "OSBS_029", "SOAP_061", "2019_YELL_2_528000_4978000_image_crop2", "2019_YELL_2_541000_4977000_image_crop",
)  # fmt: skip
TREE = Boxes(("tree",))
LEAST, MOST = 32, 400  # pixels of a tile; the smallest pictures have 400 x 400


class Trees(Source):
    """Tiles of `tile` pixels a side, all of one picture in one split; a tree at a border is in each tile that shows a
    quarter of it. Source: Weinstein et al. 2020, "DeepForest: A Python package for RGB deep learning tree crown
    delineation".
    """

    def __init__(self, tile: int, split: Sequence[float]) -> None:
        if not LEAST <= tile <= MOST:
            raise UserError(f"data.tile={tile}: accepted is {LEAST} to {MOST} pixels, the side of the smallest picture")
        self.tile, self.split = tile, split

    def survey(self, seed: int) -> Splits:
        folder = packaged()
        tiles = [(number, *one) for number, name in enumerate(PICTURES) for one in tiles_of(folder, name, self.tile)]
        groups, names, pixels, parts = zip(*tiles, strict=True)
        everything = Samples(
            ArrayImages(np.stack(pixels)), Ragged.of(parts, BLANK), list(names), groups=torch.tensor(groups)
        )
        train, val, test, said = complete(TREE, everything, None, None, self.split, seed)
        return Splits(train, val, test, TREE, said)


def packaged() -> Path:
    """The folder of the pictures. Raises: UserError where they are not there."""
    spec = find_spec("deepforest")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if folder is None or not all((folder / f"{name}.xml").is_file() for name in PICTURES):
        raise UserError(
            "data=trees: the pictures of deepforest are not there; pip install --no-deps deepforest==2.1.0 (nothing "
            "else of it is needed)"
        )
    return folder


def tiles_of(folder: Path, name: str, tile: int) -> Iterator[tuple[str, np.ndarray, Parts]]:
    """Name, pixels (t, t, 3) and boxes of each tile of a picture."""
    pixels = np.asarray(load_image(folder / f"{name}.png"))
    size = pixels.shape[0], pixels.shape[1]
    boxes = _boxes(folder / f"{name}.xml", size)
    for top in starts(size[0], tile):
        for left in starts(size[1], tile):
            frame = Frame.of(((1.0, 0.0, -left), (0.0, 1.0, -top)), size, (tile, tile))
            yield f"{name}/{top}-{left}", pixels[top : top + tile, left : left + tile], TREE.follow(boxes, frame)


def starts(side: int, tile: int) -> list[int]:
    """Where the fewest tiles begin that cover a side, evenly spaced."""
    count = -(-side // tile)
    return np.linspace(0, side - tile, count).round().astype(int).tolist()


def _boxes(path: Path, size: Size) -> Parts:
    """Whatever a tree is called there (alive, dead)."""
    sheet = sheet_of(path, first=0)
    marks = tuple(Mark(mark.box, 0, mark.place) for _, mark in sheet.named)
    found = sheet.fault or Judge("cut").boxes(Picture(path, size=size, marks=marks))
    if isinstance(found, Fault):
        raise UserError(f"data=trees: {printable(path)}: {found.reason}")
    return found
