import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.data.sources import trees
from ftlab.data.sources.trees import PICTURES, Trees, starts
from ftlab.errors import UserError

SPLIT = [0.5, 0.25, 0.25]


def test_tiles_cover_a_side_evenly():
    assert starts(400, 400) == [0]
    assert starts(1035, 400) == [0, 318, 635]  # to 400, 718 and 1035
    assert starts(800, 400) == [0, 400]


def written(folder: Path) -> None:
    """Four pictures with trees of 30 pixels, whose fields have the colour of nothing else."""
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for number, name in enumerate(PICTURES):
        side = (400, 400, 900, 500)[number]
        pixels = np.zeros((side, side, 3), np.uint8)
        whole = ElementTree.Element("annotation")
        for left, top in ((10, 20), (185, 40), (side - 35, side - 31)):
            pixels[top : top + 30, left : left + 30] = 255
            node = ElementTree.SubElement(whole, "object")
            ElementTree.SubElement(node, "name").text = ("Alive", "Tree")[number % 2]
            box = ElementTree.SubElement(node, "bndbox")
            for key, value in zip(("xmin", "ymin", "xmax", "ymax"), (left, top, left + 30, top + 30), strict=True):
                ElementTree.SubElement(box, key).text = str(value)
        Image.fromarray(pixels).save(folder / "data" / f"{name}.png")
        ElementTree.ElementTree(whole).write(folder / "data" / f"{name}.xml")


def test_boxes_lie_around_what_their_tile_shows_and_a_picture_is_in_one_split(tmp_path: Path, monkeypatch):
    written(tmp_path / "deepforest")
    monkeypatch.delitem(sys.modules, "deepforest", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    splits = Trees(200, SPLIT).survey(seed=0)
    pictures = [{name.partition("/")[0] for name in part.names} for part in splits.parts().values()]
    assert sorted(map(len, pictures)) == [1, 1, 2]
    assert sum(len(part) for part in splits.parts().values()) == 4 + 4 + 25 + 9
    seen = 0
    for part in splits.parts().values():
        for index in range(len(part)):
            inside = part.inputs[index][0] > 0
            marked = torch.zeros(200, 200, dtype=torch.bool)
            for left, top, right, bottom in part.targets[index]["boxes"].long().tolist():
                marked[top:bottom, left:right] = True
                seen += 1
            assert torch.equal(inside, marked)  # half of a tree at 185 to 215 is in each of two tiles
    assert seen >= 16


def test_where_the_package_is_not_there_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(trees, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps deepforest==2.1.0"):
        Trees(200, SPLIT).survey(seed=0)
    with pytest.raises(UserError, match=r"data.tile=500: accepted is 32 to 400"):
        Trees(500, SPLIT)


def test_the_real_pictures_hold_their_trees():
    try:
        trees.packaged()
    except UserError:
        pytest.skip("the package deepforest is not installed")
    splits = Trees(400, SPLIT).survey(seed=0)
    assert {split: len(part) for split, part in splits.parts().items()} == {"train": 42, "val": 12, "test": 2}
    assert splits.test.targets.counts.tolist() == [61, 37]
