"""Tiles cover an image, share what they are asked to share, and are the pixels that lie there."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.data.base import Samples, Splits
from ftlab.data.tiles import tiled
from ftlab.errors import UserError
from ftlab.frames import Window
from ftlab.inputs.images.files import ArrayImages, ImageFiles, TileImages, extent_of
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.images.tiles import starts, windows
from ftlab.targets.base import Tiles
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.classes import Classes
from ftlab.targets.masks import ArrayMasks, Masks
from ftlab.targets.ragged import Ragged
from tests.targets.test_boxes import parts

OWN = Preprocessing((32, 32), (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("side", [40, 64, 65, 100, 257, 1000])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_the_fewest_tiles_cover_a_side_and_share_what_is_asked(side: int, overlap: float) -> None:
    found = starts(side, 64, overlap)
    assert found[0] == 0
    assert found[-1] == max(0, side - 64)
    gaps = [b - a for a, b in pairwise(found)]
    assert all(gap <= 64 * (1 - overlap) + 1 for gap in gaps)
    fewer = len(gaps) - 1  # one tile less would leave some of the side out, or share less
    assert fewer < 1 or (side - 64) / fewer > 64 * (1 - overlap) - 1


def test_a_tile_is_the_part_of_its_image_that_lies_there(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3), dtype=np.uint8)
    paths = [tmp_path / f"{n}.png" for n in range(2)]
    for path, one in zip(paths, pixels, strict=True):
        Image.fromarray(one).save(path)
    cut = [(1, window) for window in windows((70, 90), 40, 0.25)]
    of, where = [place for place, _ in cut], [window for _, window in cut]
    files, arrays = TileImages(ImageFiles(paths), of, where), TileImages(ArrayImages(pixels), of, where)
    assert len(files) == 2 * 3
    for place, (top, left, height, width) in enumerate(where):
        expected = pixels[1, top : top + height, left : left + width]
        assert np.array_equal(np.asarray(files[place]), expected)
        assert np.array_equal(arrays[place].permute(1, 2, 0).numpy(), expected)
        assert extent_of(files, place) == (40, 40)
    assert files.kept
    assert not pickle.loads(pickle.dumps(files)).kept  # another process decodes its own


def test_images_that_do_not_fit_into_memory_are_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftlab.inputs.images.files.KEPT", 2 * 8 * 8 * 3)
    pixels = np.zeros((4, 8, 8, 3), np.uint8)
    images = TileImages(ArrayImages(pixels), [0, 1, 2, 3, 2], [Window(0, 0, 4, 4)] * 5)
    for place in range(5):
        images[place]
    assert list(images.kept) == [3, 2]


def test_each_pixel_is_owned_by_one_tile() -> None:
    cut = windows((70, 90), 40, 0.25)
    both = Tiles(torch.tensor([0] * len(cut) + [1]), [*cut, Window(0, 0, 30, 20)], [(70, 90)] * len(cut) + [(30, 20)])
    owned = both.owned()
    times = np.zeros((70, 90), int)
    for own, window in zip(owned[:-1], cut, strict=True):
        times[own.top : own.top + own.height, own.left : own.left + own.width] += 1
        assert window.top <= own.top
        assert own.left + own.width <= window.left + window.width
    assert (times == 1).all()
    assert owned[-1] == Window(0, 0, 30, 20)


def boxed() -> Splits:
    """Two images of 96 x 64 pixels in train, one in val."""
    one = parts((2, 2, 12, 12), (40, 20, 60, 40), labels=[0, 1])
    none = parts(labels=[])
    images = ArrayImages(np.zeros((3, 64, 96, 3), np.uint8))
    train = Samples(TileImages(images, [0, 1], [Window(0, 0, 64, 96)] * 2), Ragged.of([one, none], BLANK), ["a", "b"])
    val = Samples(TileImages(images, [2], [Window(0, 0, 64, 96)]), Ragged.of([one], BLANK), ["c"])
    return Splits(train, val, None, Boxes(("cat", "dog")))


def test_tiles_of_one_image_are_in_its_split_and_their_boxes_lie_where_they_show_them() -> None:
    found = tiled(boxed(), lambda size: windows(size, 64, 0.25))
    assert found.warnings == ("3 images are cut into 6 tiles",)
    assert found.train.names == ["a at 0, 0", "a at 32, 0", "b at 0, 0", "b at 32, 0"]
    assert found.train.groups is not None
    assert found.val is not None
    assert found.val.groups is not None
    assert found.train.groups.tolist() == [0, 0, 1, 1]
    assert found.val.groups.tolist() == [2, 2]
    assert [len(found.train.targets[place]["labels"]) for place in range(4)] == [2, 1, 0, 0]
    assert found.train.targets[1]["boxes"].tolist() == [[8, 20, 28, 40]]  # 40 to 60, less 32
    assert found.train.tiled is not None
    assert torch.equal(found.train.tiled.targets.counts, torch.tensor([2, 0]))


def test_masks_of_tiles_are_cut_and_where_they_are_judged_each_pixel_counts_once() -> None:
    mask = torch.arange(64 * 96).view(64, 96) % 3
    own = boxed()
    column, kind = ArrayMasks(mask[None].repeat(2, 1, 1).to(torch.uint8)), Masks(("a", "b", "c"))
    own.train.targets, own.target = column, kind
    assert own.val is not None
    own.val.targets = ArrayMasks(mask[None].to(torch.uint8))
    found = tiled(own, lambda size: windows(size, 64, 0.25))
    assert torch.equal(found.train.targets[3].long(), mask[:, 32:])
    assert found.val is not None
    counted = found.val.targets.tally(3)
    assert counted[:, :3].sum() == 64 * 96
    assert counted[:, 3].sum() == 0
    assert (found.val.targets[0] != kind.ignore).sum(1).tolist() == [48] * 64
    joined = kind.joined([found.train.targets, found.val.targets])
    assert torch.equal(joined[4], found.val.targets[0])
    names = kind.moved(found.train.targets, Masks(("c", "b", "a")))
    assert torch.equal(names[0].long(), 2 - mask[:, :64])


def test_what_cannot_be_cut_is_refused() -> None:
    own = boxed()
    own.train.targets, own.target = torch.tensor([0, 1]), Classes(("cat", "dog"))
    with pytest.raises(UserError, match=r"data.tile: classes are of whole inputs"):
        tiled(own, lambda size: windows(size, 64, 0.25))
    with pytest.raises(UserError, match=r"data.tile=8: accepted is 32 pixels or more"):
        OWN.told({"tile": 8, "tile_overlap": 0.2})
    with pytest.raises(UserError, match=r"data.tile_overlap=0.95: accepted is 0 to 0.9"):
        Preprocessing.cutter({"tile": 64, "tile_overlap": 0.95})
    assert Preprocessing.cutter({"tile": 64})((100, 100)) is None  # of a source that cuts by itself
    assert tiled(own, OWN.windows) is own


def test_the_tiles_are_in_the_bundle() -> None:
    own = OWN.told({"tile": 64, "tile_overlap": 0.25, "image_size": 48})
    again = Preprocessing.restored({key: value for key, value in own.stored().items() if key != "kind"})
    assert again == own
    assert again.size == (48, 48)
    assert again.windows((64, 96)) == windows((64, 96), 64, 0.25)
    assert "in tiles of 64 pixels" in own.summary()
