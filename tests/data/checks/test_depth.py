"""Images whose values use a small part of their depth: the network would see them nearly black."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.data.base import Samples, Splits
from ftlab.data.checks.check import Level, check
from ftlab.data.checks.files import FAST_IMAGES, FAST_PIXELS
from ftlab.data.checks.images import look
from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages, ImageFiles, Range, load_image
from ftlab.targets.classes import Classes
from tests.conftest import Command

KIND = "use a small part of their depth"


@pytest.fixture(autouse=True)
def cache_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))


def noise(seed: int, below: int, kind: type = np.uint8, size: tuple[int, int] = (12, 16)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, size).astype(kind)


def saved(file: Path, values: np.ndarray) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file)
    return str(file)


def found(paths: list[str], level: Level) -> list[str]:
    part = Samples(ImageFiles(paths), torch.zeros(len(paths), dtype=torch.long), [Path(path).name for path in paths])
    checked = check(Splits(part, None, None, Classes(("a", "b"))), level)
    return [problem.text for problem in checked.problems if KIND in problem.kind and problem.severity == "warning"]


def test_a_full_check_counts_them_with_their_ranges(tmp_path: Path) -> None:
    twelve, thirty_two = noise(0, 4096, np.uint16), noise(1, 2, np.int32)
    twelve[0, :2] = 3, 4095
    mask, colours = noise(2, 2), np.stack([noise(seed, 6) + 4 for seed in (3, 4, 5)], axis=2)
    paths = [
        saved(tmp_path / "a.png", twelve), saved(tmp_path / "all16.png", noise(6, 65536, np.uint16)),
        saved(tmp_path / "b.png", mask), saved(tmp_path / "photo.png", noise(7, 256)),
        saved(tmp_path / "c.bmp", colours), saved(tmp_path / "d.tif", thirty_two),
    ]  # fmt: skip
    (text,) = found(paths, "full")
    lowest = int(twelve.min())
    assert text == (
        f"4 images {KIND}: a.png ({lowest} to 4095 of 65535), b.png (0 to 1 of 255), c.bmp (4 to 9 of 255) "
        "and 1 more; the network sees them nearly black: save them scaled to the whole of it"
    )
    assert look(paths[5], load=True).range == "0 to 1 of 65535"
    assert np.asarray(load_image(paths[0])).max() == 16  # 4095 of 65535 is 16 of 255: that is what the network sees


@pytest.mark.parametrize(("greatest", "kind", "narrow"), [
    (16383, np.uint16, True), (16384, np.uint16, False), (15, np.uint8, True), (16, np.uint8, False),
    (0, np.uint8, True),
])  # fmt: skip
def test_fourteen_bits_of_sixteen_and_four_of_eight_are_a_small_part(
    tmp_path: Path, greatest: int, kind: type, narrow: bool
) -> None:
    # One pixel alone holds the greatest value, which no mean of several shows.
    values = np.zeros((64, 72), kind)
    values[40, 30] = greatest
    path = saved(tmp_path / "x.png", values)
    most = 65535 if kind is np.uint16 else 255
    assert look(path, load=True).range == (f"0 to {greatest} of {most}" if narrow else "")
    assert Range(0, greatest, most).narrow == narrow


def test_a_fast_check_looks_at_a_few(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{i:02}.png", noise(i, 2)) for i in range(3 * FAST_IMAGES)]
    (text,) = found(paths, "fast")
    shown = ", ".join(f"{i:02}.png (0 to 1 of 255)" for i in (0, 3, 6))
    assert text.startswith(f"8 of 8 images that were looked at {KIND}: {shown} and 5 more; ")
    assert text.endswith("data.check=full looks at all")
    assert found(paths, "full")[0].startswith(f"{len(paths)} images {KIND}")
    good = [saved(tmp_path / "good" / f"{i:02}.png", noise(i, 256)) for i in range(3 * FAST_IMAGES)]
    assert found(good, "fast") == []


def test_a_fast_check_leaves_photos_large_and_broken_images_alone(tmp_path: Path) -> None:
    photo = saved(tmp_path / "photo.jpg", noise(0, 2))
    side = int(FAST_PIXELS**0.5)
    large = saved(tmp_path / "large.png", np.zeros((side, side + 1), np.uint8))
    broken = saved(tmp_path / "broken.png", noise(1, 2, size=(60, 60)))
    Path(broken).write_bytes(Path(broken).read_bytes()[:-60])
    assert found([photo, large, broken], "fast") == []
    (text,) = found([photo, large], "full")
    assert text.startswith("2 images")


def test_pixels_in_memory_are_looked_at_too() -> None:
    pixels = np.stack([noise(0, 256), noise(1, 2)])
    images = ArrayImages(pixels)
    splits = Splits(Samples(images, torch.tensor([0, 1]), ["a", "b"]), None, None, Classes(("a", "b")))
    assert [problem.examples for problem in check(splits, "full").problems if KIND in problem.kind] == [
        ("b (0 to 1 of 255)",)
    ]


def test_floats_are_refused_with_their_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.tif", np.array([[0.0, 0.25], [0.5, 1.0]], np.float32))
    with pytest.raises(UserError, match=r"x.tif: pixels are 32-bit floats of unknown range \(here 0 to 1\)"):
        load_image(path)


def test_the_command_and_the_check_before_a_run_tell_it(tmp_path: Path, command: Command) -> None:
    for i in range(10):
        saved(tmp_path / "masks" / ("cat", "dog")[i % 2] / f"{i}.png", noise(i, 2, size=(24, 24)))
    words = ["data=image_folder", f"data.root={tmp_path / 'masks'}"]
    for level, told in (("fast", "of 5 images that were looked at"), ("full", "images")):
        ended = command("check", *words, f"data.check={level}", f"output={level}.json")
        assert ended.code == 0, ended.err
        assert f"{told} {KIND}" in Path(f"{level}.json").read_text()
    # What the full check found is kept.
    ended = command("plan", *words, "backbone.name=resnet10t", "backbone.pretrained=false", "trainer.accelerator=cpu")
    assert ended.code == 0, ended.err
    assert f"data: 10 images {KIND}" in " ".join((ended.out + ended.err).split())
