"""What is kept decoded changes no bit, is read again in place of the file, and stays within its budget."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import multiprocessing

import ftlab
from ftlab.cache import entries
from ftlab.cache.decoded import BESIDE, Decoded, Memory, Slots, fitting
from ftlab.cache.settings import GIB, CacheSettings
from ftlab.config import instantiate, options
from ftlab.data.base import Samples, Splits
from ftlab.data.datasets import from_datasets
from ftlab.data.module import DataModule, describe
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ArrayImages, ImageFiles, image_size, load_image
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.tables.preprocessing import TablePreprocessing
from ftlab.inputs.views import Selected
from ftlab.targets.classes import Classes

# A machine with one core is told that two workers are many; what they load is the same.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

PREPROCESSING = Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, "bicubic", 0.8)
SIZES = [(40, 30), (30, 40), (25, 25), (12, 60), (31, 17), (3, 400)]  # width, height; the last is a strip that is cut
MEMORY = CacheSettings("memory", image_budget=0.1)
DISK = CacheSettings("disk", disk_budget=1.0, image_budget=1.0)
SHIPPED = {name: instantiate(node) for name, node in options("augment").items()}
AUGMENTS = {**SHIPPED, "every": Augment(10, 0.1, 0.1, 0.1, 0.5, "edge", 2, 9, 0.5)}


def photos(folder: Path, count: int = 10) -> list[Path]:
    """JPEG and PNG files of several sizes, upright and turned, in colour, grey and transparent."""
    folder.mkdir(parents=True, exist_ok=True)
    random, paths = np.random.default_rng(0), []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        image = Image.fromarray(random.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
        mode, suffix = [("RGB", "jpg"), ("L", "jpg"), ("RGBA", "png")][number % 3]
        exif = Image.Exif()
        exif[0x0112] = number % 8 + 1
        paths.append(folder / f"{number}.{suffix}")
        image.convert(mode).save(paths[-1], exif=exif)
    return paths


def samples_of(paths: list[Path]) -> Samples:
    return Samples(ImageFiles(paths), torch.arange(len(paths)) % 2, list(map(str, paths)))


def data(paths: list[Path], decoded: Decoded | None, augment=AUGMENTS["every"], workers=0, **place) -> DataModule:
    splits, spec = describe(
        "files", Splits(samples_of(paths), samples_of(paths[:4]), None, Classes(("a", "b"))), seed=0
    )
    return DataModule(splits, spec, PREPROCESSING, augment, 4, workers, 3, decoded=decoded, **place)


def epochs(made: DataModule, first=0, last=3, skip=0) -> list[torch.Tensor]:
    """The images of all batches of these epochs."""
    train, val = made.loader("train", True), made.loader("val", False)
    found = []
    train.batch_sampler.skip(skip)
    for epoch in range(first, last):
        train.batch_sampler.set_epoch(epoch)
        found += [batch.inputs["images"] for loader in (train, val) for batch in loader]
    return found


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("name", AUGMENTS)
def test_no_augmentation_sees_whether_images_are_kept(tmp_path, name):
    paths, augment = photos(tmp_path), AUGMENTS[name]
    plain = epochs(data(paths, None, augment))
    with Decoded(MEMORY, PREPROCESSING, 0, 3) as decoded:
        assert equal(plain, epochs(data(paths, decoded, augment)))
        assert decoded.report()["kept"] == 14  # 10 of train, 4 of val


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("settings", [MEMORY, DISK], ids=["memory", "disk"])
def test_the_second_epoch_reads_no_file(tmp_path, workers, settings, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    paths = photos(tmp_path / "photos")
    plain = epochs(data(paths, None))
    with Decoded(settings, PREPROCESSING, workers, 3) as decoded:
        made = data(paths, decoded, workers=workers)
        train, val = made.loader("train", True), made.loader("val", False)
        found = [batch.inputs["images"] for loader in (train, val) for batch in loader]
        for path in paths:
            path.unlink()
        for epoch in (1, 2):
            train.batch_sampler.set_epoch(epoch)
            found += [batch.inputs["images"] for loader in (train, val) for batch in loader]
    assert equal(plain, found)


def test_without_room_the_second_epoch_needs_the_files(tmp_path):
    """Else the test above would say nothing."""
    paths = photos(tmp_path)
    with Decoded(CacheSettings("memory", image_budget=0.0), PREPROCESSING, 0, 3) as decoded:
        made = data(paths, decoded).loader("train", True)
        list(made)
        for path in paths:
            path.unlink()
        with pytest.raises(UserError, match="png is not there"):
            list(made)
        assert decoded.told() is None


def test_an_epoch_that_goes_on_in_its_middle_is_the_same(tmp_path):
    paths = photos(tmp_path)
    plain = epochs(data(paths, None), first=1)
    with Decoded(MEMORY, PREPROCESSING, 0, 3) as decoded:
        assert equal(plain[1:], epochs(data(paths, decoded), first=1, skip=1))


def test_each_process_of_a_run_keeps_its_share_and_sees_the_same_samples(tmp_path):
    paths = photos(tmp_path)
    # Train takes 14,700 bytes and what is kept beside: exactly one of these two shares.
    sizes = [np.prod(shape) for shape in PREPROCESSING.first_shapes(ImageFiles(paths))]
    budget = CacheSettings("memory", image_budget=2 * (sum(sizes) + BESIDE * len(sizes)) / GIB)
    for rank in (0, 1):
        place = {"rank": rank, "world": 2}
        with Decoded(budget, PREPROCESSING, 0, 3) as decoded:
            made = data(paths, decoded, **place)
            assert equal(epochs(data(paths, None, **place), last=8), epochs(made, last=8))
            assert decoded.left_out == {"train": 0, "val": 4}
            assert "images: 10 kept decoded, 0.0 MiB in the first of 2 processes; 4 more do not fit" in decoded.told()


def keep_ones(memory: Slots, disk: Slots) -> None:
    """What a worker does."""
    for slots in (memory, disk):
        slots.put(1, torch.ones(slots.shapes[1], dtype=torch.uint8), (30, 40))


def test_a_spawned_process_shares_what_is_kept(tmp_path, monkeypatch):
    """As workers are on systems that cannot fork, and on Linux from Python 3.14 on."""
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    samples = samples_of(photos(tmp_path / "photos", 3))
    with Decoded(MEMORY, PREPROCESSING, 1, 3) as memory, Decoded(DISK, PREPROCESSING, 1, 3) as disk:
        both = memory.of("train", samples), disk.of("train", samples)
        process = multiprocessing.get_context("spawn").Process(target=keep_ones, args=both)
        process.start()
        process.join()
        assert process.exitcode == 0
        for slots in both:
            assert slots.there.tolist() == [1]
            assert slots.get(1).unique().tolist() == [1]
            assert slots.extent(1) == (30, 40)


def test_the_size_is_known_before_an_image_is_decoded(tmp_path):
    files, transform = ImageFiles(photos(tmp_path, 24)), PREPROCESSING.transform()
    chosen = Selected(files, range(23, -1, -1))
    assert list(PREPROCESSING.first_shapes(files)) == [tuple(transform.first(raw).shape) for raw in files]
    assert list(PREPROCESSING.first_shapes(chosen)) == list(PREPROCESSING.first_shapes(files))[::-1]
    assert [image_size(path) for path in files.paths] == [load_image(path).size[::-1] for path in files.paths]
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert image_size(tmp_path / "broken.jpg") is None
    assert image_size(tmp_path / "absent.jpg") is None


def test_images_in_memory_are_kept_only_where_they_are_resized():
    whole = Preprocessing((8, 8), (0.5,) * 3, (0.25,) * 3)
    same, smaller = (ArrayImages(np.zeros((3, side, side), np.uint8)) for side in (8, 6))
    assert list(whole.first_shapes(same)) == [None] * 3
    assert list(whole.first_shapes(smaller)) == [(3, 8, 8)] * 3
    with Decoded(MEMORY, whole, 0, 3) as decoded:
        assert decoded.of("train", Samples(same, torch.zeros(3))).shapes == []
        assert decoded.told() is None


def test_a_data_set_of_ones_own_may_give_another_image_each_time_and_is_not_kept(tmp_path):
    pairs = [(Image.new("RGB", (20, 20)), label) for label in (0, 1)]
    inputs = from_datasets(pairs).train.inputs
    assert list(PREPROCESSING.first_shapes(inputs)) == [None, None]
    assert list(TablePreprocessing((), ()).first_shapes([{"a": 1}])) == []


def test_what_is_more_than_the_budget_is_decoded_as_before_and_counted(tmp_path):
    paths = photos(tmp_path)
    sizes = [int(np.prod(shape)) for shape in PREPROCESSING.first_shapes(ImageFiles(paths))]
    limit = sum(sizes[:7]) + 7 * BESIDE - 1  # a byte is missing for the seventh
    taken, all_fit = fitting([(size,) for size in sizes], limit)
    assert (len(taken), all_fit) == (6, False)
    assert fitting([(size,) for size in sizes], sum(sizes) + 10 * BESIDE) == ([(size,) for size in sizes], True)
    with Decoded(CacheSettings("auto", image_budget=limit / GIB), PREPROCESSING, 0, 3) as decoded:
        made = data(paths, decoded)
        train = made.loader("train", True)
        list(train)
        made.loader("val", False)
        assert sorted(decoded.slots["train"].there) == [0, 1, 2, 3, 4, 5]
        assert decoded.report() == {"kept": 6, "bytes": sum(sizes[:6]), "left_out": 8}
        assert decoded.told().startswith("images: 6 kept decoded, 0.0 MiB; 8 more do not fit into cache.image_budget=")


def test_an_image_that_has_changed_its_size_has_no_slot():
    slots = Slots([(3, 2, 2)], Memory(12 + BESIDE, shared=False))
    slots.put(0, torch.ones(3, 2, 3, dtype=torch.uint8), (4, 6))
    assert slots.get(0) is None
    slots.put(0, torch.full((3, 2, 2), 7, dtype=torch.uint8), (4, 4))
    slots.get(0).zero_()  # a copy
    assert slots.get(0).unique().tolist() == [7]
    assert slots.get(5) is None


def test_a_run_of_one_epoch_and_a_pass_in_order_keep_nothing(tmp_path):
    paths = photos(tmp_path)
    with Decoded(MEMORY, PREPROCESSING, 0, epochs=1) as decoded:
        epochs(data(paths, decoded), last=1)
        assert decoded.report()["kept"] == 0
    with Decoded(MEMORY, PREPROCESSING, 0, epochs=3) as decoded:
        list(data(paths, decoded).in_order("train", None, 4))
        assert decoded.report()["kept"] == 0
        list(data(paths, decoded).in_order("train", 0, 4))  # the first of several views
        assert decoded.report()["kept"] == 10


def test_a_later_run_finds_them_on_disk_unless_a_file_or_the_size_has_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    paths = photos(tmp_path / "photos")
    time.sleep(0.1)  # files that have just been written have no key
    with Decoded(DISK, PREPROCESSING, 0, 3) as decoded:
        plain = epochs(data(paths, decoded))
    assert sorted(entry.about["split"] for entry in entries.entries()) == ["train", "val"]
    assert entries.unfinished() == []

    for rank, world in ((0, 1), (1, 2)):  # also in a process that writes nothing
        with Decoded(DISK, PREPROCESSING, 0, 3) as decoded:
            slots = decoded.of("train", samples_of(paths), rank, world)
            assert slots.whole
            assert torch.equal(slots.get(3), PREPROCESSING.transform().first(load_image(paths[3])))
    with Decoded(DISK, PREPROCESSING, 0, 3) as decoded:
        assert equal(plain, epochs(data(paths, decoded)))

    other = Preprocessing((24, 24), (0.5,) * 3, (0.25,) * 3)
    with Decoded(DISK, other, 0, 3) as decoded:
        assert not len(decoded.of("train", samples_of(paths)).there)
    os.utime(paths[0], (1, 1))
    time.sleep(0.1)
    with Decoded(DISK, PREPROCESSING, 0, 3) as decoded:
        assert not len(decoded.of("train", samples_of(paths)).there)
    assert len(entries.entries()) == 2  # what is not whole is not kept
    assert entries.unfinished() == []


def test_a_disk_without_room_is_told_and_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    paths = photos(tmp_path / "photos")
    with Decoded(CacheSettings("disk", disk_budget=1e-6, image_budget=1.0), PREPROCESSING, 0, 3) as decoded:
        with pytest.warns(UserWarning, match=r"images are decoded in every epoch: .*do not fit"):
            made = data(paths, decoded).loader("train", True)
        assert sum(map(len, made)) == 10


def run_of(command, folder: Path, *words: str) -> dict:
    quick = ["data.image_size=32", "backbone.name=resnet10t", "backbone.pretrained=false", "strategy=full"]
    where = ["data=image_folder", f"data.root={folder}", f"hydra.run.dir={words[0].replace('=', '-')}"]
    ended = command("train", *where, *quick, "trainer.max_epochs=2", "trainer.accelerator=cpu", "seed=5", *words)
    assert ended.code == 0, ended.err
    report = json.loads(Path(words[0].replace("=", "-"), "report.json").read_text())
    return {"out": ended.out, "losses": [epoch["train"] for epoch in report["history"]], **report}


@pytest.mark.filterwarnings("ignore")
def test_a_run_says_what_it_kept_and_learns_the_same_as_without(tmp_path, command):
    for name in ("cat", "dog"):
        photos(tmp_path / "photos" / name, 12)
    kept = run_of(command, tmp_path / "photos", "cache=memory", "augment=strong")
    off = run_of(command, tmp_path / "photos", "cache=off", "augment=strong")
    sizes = kept["data"]["sizes"]
    count = sizes["train"] + sizes["val"]
    assert f"images: {count} kept decoded, 0." in kept["out"]
    assert kept["images"]["kept"] == count
    assert off["images"] == {"kept": 0, "bytes": 0, "left_out": 0}
    assert "kept decoded" not in off["out"]
    assert kept["losses"] == off["losses"]
    assert kept["metrics"] == off["metrics"]


def test_a_budget_below_0_is_refused():
    with pytest.raises(UserError, match=r"cache\.image_budget=-1"):
        ftlab.train(ftlab.compose(["cache.image_budget=-1"]))
