import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.data.base import Samples, Splits
from ftlab.data.checks import cache, files
from ftlab.data.checks.check import check, settled
from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages, ImageFiles
from ftlab.problems import counted
from ftlab.targets.cells.classes import numeric, odd_label
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels


@pytest.fixture(autouse=True)
def cache_of_the_test(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))


def picture(file: Path, seed: int) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((24, 24), Image.Resampling.BICUBIC).save(file)
    return str(file)


def samples(paths: list[str], targets: list[int]) -> Samples:
    return Samples(ImageFiles(paths), torch.tensor(targets), paths)


def split_of_files(tmp_path: Path, broken: bytes | None = None) -> Splits:
    train = [picture(tmp_path / f"train{seed}.png", seed) for seed in range(6)]
    val = [picture(tmp_path / f"val{seed}.png", seed + 10) for seed in range(2)]
    if broken is not None:
        Path(train[3]).write_bytes(broken)
    return Splits(samples(train, [0, 1, 0, 1, 0, 1]), samples(val, [0, 1]), None, Classes(("a", "b")))


def settle(splits: Splits) -> None:
    """Waits until the files are old enough for the cache."""
    time.sleep(cache.SETTLED / 1e9 * 1.2)


def test_stopping_names_the_file_and_skipping_keeps_the_others_in_order(tmp_path):
    splits = split_of_files(tmp_path, broken=b"")
    checked = check(splits, "fast")
    with pytest.raises(UserError, match=r"train3.png: the file is empty \(0 bytes\).*data.on_error=skip"):
        settled(splits, checked, "mine", "stop")
    kept = settled(splits, checked, "mine", "skip")
    assert [Path(name).stem for name in kept.train.names] == ["train0", "train1", "train2", "train4", "train5"]
    assert kept.train.targets.tolist() == [0, 1, 0, 0, 1]
    assert [Path(fault.name).stem for fault in kept.faults] == ["train3"]
    assert kept.val is splits.val


def test_a_message_about_many_faults_has_at_most_six_lines(tmp_path):
    splits = split_of_files(tmp_path)
    for place, data in enumerate((b"", b"x", None)):
        path = Path(splits.train.names[place])
        path.unlink() if data is None else path.write_bytes(data)
    splits.train.targets[4], splits.train.targets[5] = 7, -100
    with pytest.raises(UserError) as caught:
        settled(splits, check(splits, "full"), "mine", "stop")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("data=mine: 5 samples cannot be used; ")
    assert len(lines) <= 6
    assert "2 targets are out of range" in lines[1]


def test_fast_looks_at_headers_and_full_at_all_pixels(tmp_path):
    splits = split_of_files(tmp_path)
    cut = Path(splits.train.names[3])
    cut.write_bytes(cut.read_bytes()[:-300])
    assert check(splits, "fast").faults["train"] == {}
    (fault,) = check(splits, "full").faults["train"].values()
    assert fault.kind == "images are truncated"


def test_workers_find_the_same(tmp_path):
    splits = split_of_files(tmp_path, broken=b"no image")
    alone = check(splits, "full", workers=0)
    cache_file = alone.cache
    shared = check(splits, "full", workers=2)
    assert (shared.faults, shared.problems) == (alone.faults, alone.problems)
    assert cache_file is None or not shared.was_cached or shared.cache == cache_file


def test_a_check_is_kept_and_a_changed_file_is_looked_at_again(tmp_path):
    splits = split_of_files(tmp_path)
    settle(splits)
    first, second = check(splits, "full"), check(splits, "full")
    assert (first.was_cached, second.was_cached) == (False, True)
    assert first.cache is not None
    assert first.cache.parent == tmp_path / "cache" / "checks"
    assert second.problems == first.problems
    assert check(splits, "fast").was_cached  # a full check answers a fast one

    path = Path(splits.train.names[2])
    seen = path.stat()
    path.write_bytes(b"x" * seen.st_size)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # the same name, size and time of writing
    settle(splits)
    third = check(splits, "full")
    assert not third.was_cached
    assert list(third.faults["train"]) == [2]


def test_a_full_check_is_not_answered_by_a_fast_one(tmp_path):
    splits = split_of_files(tmp_path)
    settle(splits)
    assert check(splits, "fast").cache is not None
    assert not check(splits, "full").was_cached


def test_a_broken_entry_of_the_cache_is_made_anew(tmp_path):
    splits = split_of_files(tmp_path, broken=b"")
    settle(splits)
    first = check(splits, "fast")
    assert first.cache is not None
    for text in ("{", '{"other": 1}', "[1]", ""):
        first.cache.write_text(text)
        again = check(splits, "fast")
        assert not again.was_cached
        assert again.faults == first.faults


def test_a_file_that_was_just_written_is_not_kept(tmp_path):
    splits = split_of_files(tmp_path)
    now = time.time_ns() + 10**9
    os.utime(splits.train.names[0], ns=(now, now))
    assert check(splits, "fast").cache is None


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "file"))
    splits = split_of_files(tmp_path, broken=b"")
    settle(splits)
    checked = check(splits, "fast")
    assert checked.cache is None
    assert list(checked.faults["train"]) == [3]


def test_images_in_memory_are_compared_over_the_splits():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 9), dtype=np.uint8)
    pixels[5] = pixels[0]
    train = Samples(ArrayImages(pixels[:4]), torch.tensor([0, 1, 0, 1]), [f"t/{i}" for i in range(4)])
    val = Samples(ArrayImages(pixels[4:]), torch.tensor([0, 1]), ["v/0", "v/1"])
    splits = Splits(train, val, None, Classes(("a", "b")))
    assert check(splits, "fast").problems == ()
    found = {one.kind: one.examples for one in check(splits, "full").problems}
    assert found == {
        "images are in another split too": ("v/1 = t/0",),
        "equal images have different labels": ("v/1 (b) = t/0 (a)",),
    }


def test_an_image_that_is_listed_twice_is_told_once_for_each_meaning(tmp_path):
    first, second = picture(tmp_path / "0.png", 0), picture(tmp_path / "1.png", 1)
    train = samples([first, first, second], [0, 0, 1])
    splits = Splits(train, samples([second, first], [1, 1]), None, Classes(("a", "b")))
    counts = {one.kind: one.count for one in check(splits, "full").problems}
    assert counts == {
        "images are in another split too": 2,
        "images repeat one of the same split": 1,
        "equal images have different labels": 1,
    }


def test_labels_of_several_columns_that_are_no_probabilities_are_faults():
    targets = torch.tensor([[0.0, 1.0], [float("nan"), 0.0], [2.0, 0.0], [1.0, 1.0]])
    images = ArrayImages(np.zeros((4, 2, 2), dtype=np.uint8))
    checked = check(Splits(Samples(images, targets), None, None, Labels(("a", "b"))), "fast")
    assert list(checked.faults["train"]) == [1, 2]


@pytest.mark.parametrize("label", ["nan", "NaN", "1.5", "cat", "1e3"])
def test_what_is_no_whole_number_is_odd_among_numbers(label):
    labels = [str(value % 3) for value in range(20)]
    assert numeric([*labels, label])
    assert odd_label(label, numeric=True)
    assert all(odd_label(good, numeric=True) is None for good in labels)


def test_names_of_classes_are_not_odd_among_names():
    assert not numeric(["cat", "dog", "7"])
    assert odd_label("7", numeric=False) is None
    assert odd_label("null", numeric=False)


def test_what_is_left_out_is_told_by_name_without_advice_that_was_followed(tmp_path):
    splits = split_of_files(tmp_path)
    cut = Path(splits.train.names[3])
    cut.write_bytes(cut.read_bytes()[:-300])
    told = [one.text for one in settled(splits, check(splits, "full"), "mine", "skip").problems]
    assert told == [f"1 image is truncated: {cut}; left out"]


@pytest.mark.parametrize(
    ("count", "kind", "said"),
    [
        (1, "images are truncated", "image is truncated"),
        (2, "images are truncated", "images are truncated"),
        (1, "classes have no sample in val", "class has no sample in val"),
        (1, "pairs of images in one split look alike", "pair of images in one split looks alike"),
        (1, "hidden files and folders are left out", "hidden files and folders are left out"),
        (1, "series lack a target", "series lacks a target"),
    ],
)
def test_one_is_not_many(count, kind, said):
    assert counted(count, kind) == said


def test_a_fast_check_finds_images_that_are_alike_in_two_splits_where_there_are_few_pixels(tmp_path, monkeypatch):
    splits = split_of_files(tmp_path)
    with Image.open(splits.train.names[2]) as image:
        image.resize((48, 48)).save(splits.val.names[1])
    checked = check(splits, "fast")
    (found,) = [one for one in checked.problems if "alike" in one.kind]
    assert (found.severity, found.count) == ("warning", 1)
    assert found.examples == (f"{splits.train.names[2]} = {splits.val.names[1]}",)
    assert checked.faults == {"train": {}, "val": {}}
    monkeypatch.setattr(files, "FAST_ALIKE", 7 * 24 * 24 + 48 * 48 - 1)  # a pixel less than there are
    (told,) = [one for one in check(splits, "fast").problems if "alike" in one.kind]
    assert (told.severity, told.count) == ("note", 8)
    assert "too many pixels for a fast check" in told.text
    assert found in check(splits, "full").problems
