"""Three ways of an image to the size of a network's input.

Shapes: h height, w width.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.backbones.local_dir import config
from ftlab.cache.decoded import Decoded
from ftlab.cache.settings import CacheSettings
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule, describe
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ImageFiles
from ftlab.inputs.images.pictures import first_shapes
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.classes import Classes

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
RESIZES = ("crop", "letterbox", "stretch")


def preprocessing(resize: str, size=(24, 32), crop_pct=1.0) -> Preprocessing:
    return Preprocessing(size, MEAN, STD, "bilinear", crop_pct, resize)


def noise(h: int, w: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((48, 48), (0, 24), (4, 28)),
        ((12, 32), (6, 18), (0, 32)),
        ((6, 4), (0, 24), (8, 24)),
        ((1, 900), (12, 13), (0, 32)),
    ],
)
def test_a_letterbox_shows_the_whole_image_in_the_middle_of_the_mean_colour(size, rows, columns):
    seen = preprocessing("letterbox").transform()(noise(*size))["images"]
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[slice(*rows), slice(*columns)] = True
    assert seen.shape == (3, 24, 32)
    assert (seen[:, ~inside] == 0).all()  # the mean, once it is taken off
    assert (seen[:, inside] != 0).any(0).all()


def test_what_is_stretched_shows_all_four_corners_and_nothing_beside_them():
    pixels = torch.zeros(3, 90, 20, dtype=torch.uint8)
    for number, (y, x) in enumerate(((0, 0), (0, 10), (45, 0), (45, 10))):
        pixels[:, y : y + 45, x : x + 10] = 60 * number + 20
    seen = preprocessing("stretch").transform()(pixels)["images"]
    values = (seen * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255
    for (y, x), value in zip(((3, 3), (3, 28), (20, 3), (20, 28)), (20, 80, 140, 200), strict=True):
        torch.testing.assert_close(values[:, y, x], torch.full((3,), float(value)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("resize", RESIZES)
def test_an_image_of_the_wanted_size_stays_as_it_is_in_each_way(resize):
    pixels = noise(24, 32)
    seen = preprocessing(resize).transform()(pixels)["images"]
    plain = (pixels - torch.tensor(MEAN).view(3, 1, 1) * 255) / (torch.tensor(STD).view(3, 1, 1) * 255)
    torch.testing.assert_close(seen, plain)


def test_what_moves_in_a_letterbox_shows_the_fill_beyond_the_mean_colour():
    shifted = Augment(shift=0.9, fill="white")
    torch.manual_seed(3)
    seen = preprocessing("letterbox").transform(shifted)(torch.full((3, 24, 12), 200, dtype=torch.uint8))["images"]
    values = (seen * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255
    near = [((values - torch.tensor(c).view(3, 1, 1)).abs() < 1).all(0) for c in ([127.5, 102, 76.5], [255.0] * 3)]
    assert all(found.any() for found in near)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_what_is_kept_decoded_is_of_its_way_and_changes_no_bit(tmp_path: Path, monkeypatch, mode, resize):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.fromarray(noise(20 + 9 * number, 44).permute(1, 2, 0).numpy()).save(path)
    samples, classes = Samples(ImageFiles(paths), torch.arange(6) % 2, list(map(str, paths))), Classes(("a", "b"))
    splits, spec = describe("some", Splits(samples, samples, None, classes), seed=0)

    def seen(way: str, decoded: Decoded | None = None) -> list[torch.Tensor]:
        data = DataModule(splits, spec, preprocessing(way), Augment(rotation=9), 3, 0, 7, decoded=decoded)
        return [b.inputs["images"] for _ in range(2) for b in (*data.loader("train", True), *data.loader("val", False))]

    for way in dict.fromkeys((resize, *RESIZES)):  # nobody reads what another left
        own = preprocessing(way)
        shapes = [tuple(own.transform().first(samples.inputs[place]).shape) for place in range(6)]
        assert list(first_shapes(own, samples.inputs)) == shapes
        with Decoded(CacheSettings(mode, disk_budget=1.0, image_budget=0.1), own, 0, 2) as decoded:
            found = seen(way, decoded)
            assert decoded.report()["kept"] == 12
        assert all(map(torch.equal, found, seen(way)))


def test_a_data_option_says_the_way_and_crops_only_where_something_is_cropped():
    own = preprocessing("crop", crop_pct=0.9)
    assert own.told({"image_size": None, "crop_pct": None, "resize": "crop"}) == own
    assert own.told({"image_size": 8, "crop_pct": None}) == preprocessing("crop", (8, 8), 0.9)
    assert own.told({"resize": "letterbox"}) == preprocessing("letterbox")
    assert own.told({"resize": "stretch", "crop_pct": 1.0}).summary() == "images of 24 x 32 pixels (stretch)"
    assert own.told({"resize": "letterbox"}).seen_as == "24 x 32 pixels (letterbox), normalisation undone"
    with pytest.raises(UserError, match=r"data.crop_pct=0.5: is read with data.resize=crop only"):
        own.told({"resize": "letterbox", "crop_pct": 0.5})
    with pytest.raises(UserError, match=r"data.resize=letterbx: unknown; did you mean 'letterbox'"):
        preprocessing("letterbx").transform()


@pytest.mark.parametrize("resize", RESIZES)
def test_a_bundle_knows_the_way_one_of_before_crops_and_timm_reads_its_own_word_for_it(resize):
    from timm.data import create_transform

    own = preprocessing(resize, (32, 32), 0.9 if resize == "crop" else 1.0)
    stored = own.stored()
    assert Preprocessing.restored({k: v for k, v in stored.items() if k != "kind"}) == own
    before = {k: v for k, v in stored.items() if k not in ("kind", "resize")}
    assert Preprocessing.restored(before).resize == "crop"
    theirs = (config("resnet18", {}, False, 2, [], stored) or {})["pretrained_cfg"]
    names = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")
    transform = create_transform(**{name: theirs[name] for name in names})
    picture = Image.fromarray(
        np.kron(np.random.default_rng(0).integers(0, 256, (4, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    )
    there, here = transform(picture), own.transform()(picture)["images"]
    assert (there - here).abs().mean() < 0.05  # their padding is of whole colours
