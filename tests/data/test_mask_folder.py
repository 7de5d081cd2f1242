"""Images and masks in two folders: which belong together, what their pixels mean, and what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ftlab.data.base import Splits
from ftlab.data.checks.check import check, settled
from ftlab.data.measured import joined
from ftlab.data.sources.mask_folder import MaskFolder
from ftlab.errors import UserError
from ftlab.targets.masks import Masks

SPLIT = (0.5, 0.25, 0.25)
NUMBERS = [[0, 1], [2, 255]]
COLOURS = {0: (128, 64, 128), 1: (70, 130, 180), 2: (0, 0, 142), 255: (0, 0, 0)}
CLASSES = {"road": COLOURS[0], "sky": COLOURS[1], "car": COLOURS[2]}


def put(root: Path, name: str, mask=NUMBERS, mode: str = "L", folder: str = "", suffix: str = "") -> None:
    """An image of its own and its mask, under `root/folder`."""
    image, painted = root / folder / "images" / f"{name}.jpg", root / folder / "masks" / f"{name}{suffix}.png"
    values = np.array(mask, np.uint8)
    for path in (image, painted):
        path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.full((*values.shape, 3), hash(name) % 256, np.uint8)
    Image.fromarray(shade).save(image)
    if mode == "RGB":
        found = Image.fromarray(np.array([[COLOURS[one] for one in row] for row in values.tolist()], np.uint8))
    else:
        found = Image.fromarray(values, mode=mode)
    if mode == "P":
        found.putpalette([part for place in range(256) for part in COLOURS.get(place, (9, 9, 9))])
    found.save(painted)


def folder(root: Path, count: int = 8, **how) -> Path:
    for number in range(count):
        put(root, f"{number}", **how)
    return root


def survey(root: Path, split=SPLIT, **settings) -> Splits:
    return MaskFolder(str(root), split, **settings).survey(0)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_numbers_of_a_mask_are_its_classes(tmp_path, mode):
    found = survey(folder(tmp_path, mode=mode))
    assert found.target == Masks(("0", "1", "2"))
    assert [len(part) for part in found.parts().values()] == [4, 2, 2]
    assert (found.train.targets[0].tolist(), found.train.targets[0].dtype) == (NUMBERS, torch.uint8)
    named = survey(tmp_path, classes=["road", "sky", "car"])
    assert named.target.classes == ("road", "sky", "car")
    assert found.target.fitted(found.train.targets).counts == (4, 4, 4)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colours_become_classes_by_a_mapping_or_a_file(tmp_path, mode):
    folder(tmp_path / "data", mode=mode)
    lines = ["name,r,g,b", *(f"{name},{','.join(map(str, colour))}" for name, colour in CLASSES.items())]
    (tmp_path / "classes.csv").write_text("\n".join(lines))
    (tmp_path / "classes.txt").write_text("\n".join(f"{r} {g} {b}\t{name}" for name, (r, g, b) in CLASSES.items()))
    given = {name: list(colour) for name, colour in CLASSES.items()}
    for classes in (given, str(tmp_path / "classes.csv"), str(tmp_path / "classes.txt")):
        found = survey(tmp_path / "data", classes=classes, ignore=[0, 0, 0])
        assert found.target.classes == tuple(CLASSES)
        assert found.val.targets[0].tolist() == NUMBERS


def test_a_number_of_ones_own_may_be_a_class(tmp_path):
    folder(tmp_path, mask=[[0, 255], [255, 0]])
    with pytest.raises(UserError, match=r"masks hold 0 and 255 alone, and 255 counts for nothing unless it is a class"):
        survey(tmp_path)
    found = survey(tmp_path, classes={"background": 0, "thing": 255})
    assert found.train.targets[0].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(UserError, match=r"data.ignore=255: is a class too"):
        survey(tmp_path, classes={"background": 0, "thing": 255}, ignore=255)


@pytest.mark.parametrize("inner", [True, False], ids=["train/images", "images/train"])
def test_folders_of_splits_are_taken_as_they_are(tmp_path, inner):
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for number in range(count):
            if inner:
                put(tmp_path, f"deep/{split}{number}", folder=split, suffix="_mask")
            else:
                put(tmp_path, f"{split}/{split}{number}", suffix="_mask")
    found = survey(tmp_path, mask_suffix="_mask")
    assert [len(part) for part in found.parts().values()] == [3, 2, 1]
    assert not found.faults
    (tmp_path / ("val/images" if inner else "images/val")).mkdir(parents=True)
    (tmp_path / ("val/masks" if inner else "masks/val")).mkdir(parents=True)
    with pytest.raises(UserError, match="are both of val: keep one"):
        survey(tmp_path, mask_suffix="_mask")


def test_each_fault_names_its_file_and_the_others_go_on(tmp_path):
    folder(tmp_path)
    put(tmp_path, "odd", [[0, 7], [7, 9]])
    put(tmp_path, "large", [[0, 1, 2]])
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "masks" / "large.png")
    put(tmp_path, "alone")
    (tmp_path / "masks" / "alone.png").unlink()
    put(tmp_path, "lost")
    (tmp_path / "images" / "lost.jpg").unlink()
    put(tmp_path, "broken")
    (tmp_path / "masks" / "broken.png").write_bytes(b"no image")
    put(tmp_path, "twice")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "images" / "twice.png")
    (tmp_path / "masks" / "notes.txt").write_text("by hand")
    found = survey(tmp_path, classes=["a", "b", "c"])
    told = {fault.kind: fault.reason.removeprefix(f"{tmp_path}/") for fault in found.faults}
    assert told == {
        "images have no mask": f"images/alone.jpg: there is no mask {tmp_path}/masks/alone.*",
        "images share a mask": "images/twice.png: another image of that name, but for its suffix, has the same mask.",
        "masks hold what is no class": "masks/odd.png: the value 7, 9 of 3 pixels is no class",
        "masks have not the size of their image": "masks/large.png: has 2 x 2 pixels, its image 1 x 3.",
        "masks cannot be read": told["masks cannot be read"],
    }
    assert told["masks cannot be read"].startswith("masks/broken.png: not a readable mask (")
    assert [(one.kind, one.count) for one in found.problems] == [
        ("masks have no image", 1),
        ("files are no images that can be read (.txt 1)", 1),
    ]
    assert sum(len(part) for part in found.parts().values()) == 9
    with pytest.raises(UserError, match="5 samples cannot be used"):
        settled(found, check(found, "fast"), "mask_folder", "stop")
    kept = settled(found, check(found, "fast"), "mask_folder", "skip")
    assert "images have no mask" in {one.kind for one in kept.problems}


def test_colours_that_are_no_class_are_told(tmp_path):
    folder(tmp_path, mode="RGB")
    with pytest.raises(UserError, match=r"has colours \(RGB\); say which class each is by data.classes"):
        survey(tmp_path)
    two = {name: list(CLASSES[name]) for name in ("road", "sky")}
    with pytest.raises(UserError, match=r"no image of train with a mask. 8 cannot .*the colour #00008e, #000000"):
        survey(tmp_path, classes=two)
    put(tmp_path, "good", [[0, 1]], mode="RGB")
    found = survey(tmp_path, (1.0, 0.0, 0.0), classes=two)
    assert (len(found.train), {fault.kind for fault in found.faults}) == (1, {"masks hold what is no class"})


def test_what_belongs_together_is_never_in_two_splits(tmp_path):
    for place in range(6):
        for number in range(3):
            put(tmp_path, f"{place}_{number}")
    found = survey(tmp_path, group_pattern="([0-9]+)_[0-9]+[.]")
    seen = [{Path(name).stem.split("_")[0] for name in part.names} for part in found.parts().values()]
    assert sum(map(len, seen)) == 6


def test_masks_of_files_are_picked_joined_and_renumbered(tmp_path):
    found = survey(folder(tmp_path))
    whole = joined(list(found.parts().values()), found.target)
    assert (len(whole), len(whole.targets)) == (8, 8)
    moved = found.suited(Masks(("2", "x", "1", "0")))
    assert moved.val.targets[0].tolist() == [[3, 2], [0, 255]]
    assert next(iter(moved.target.written(moved.val.targets))).startswith("['2', '1', '0']")


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"a": 0, "b": 0}, "'a' has the 0 of another class"),
        ({"a": 0, "b": [1, 2, 3]}, "some classes have colours and some have numbers"),
        (["a", "b", "a"], "the class 'a' is there twice"),
        ({"a": -1}, r"data.classes: a=-1: accepted is a number from 0, or a colour"),
        ({"a": [1, 2, 300]}, "accepted is a number from 0, or a colour"),
        ("nowhere.txt", "data.classes=nowhere.txt: cannot be read"),
    ],
)
def test_classes_that_cannot_be_are_refused(tmp_path, classes, said):
    with pytest.raises(UserError, match=said):
        survey(tmp_path, classes=classes)


@pytest.mark.parametrize(
    ("classes", "ignore", "said"),
    [
        (
            CLASSES,
            255,
            r"data.ignore=255: the classes are colours; accepted is one, such as \[255, 255, 255\], or null",
        ),
        (["a", "b"], [0, 0, 0], r"data.ignore=\[0, 0, 0\]: the classes are numbers; accepted is one, or null"),
        (None, [0, 0, 0], "the classes are numbers"),
    ],
)
def test_what_counts_for_nothing_is_of_the_sort_of_the_classes(tmp_path, classes, ignore, said):
    with pytest.raises(UserError, match=said):
        survey(tmp_path, classes=classes, ignore=ignore)


def test_a_file_of_classes_may_hold_comments(tmp_path):
    (tmp_path / "c.txt").write_text("# what there is\nroad\n#\nsky\n")
    assert MaskFolder(str(tmp_path), SPLIT, classes=str(tmp_path / "c.txt")).classes == {"road": 0, "sky": 1}


def test_a_line_of_classes_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "c.txt").write_text("road 1\nsky 1 2\n")
    with pytest.raises(UserError, match=r"c.txt, line 2: 'sky 1 2' names no class"):
        survey(tmp_path, classes=str(tmp_path / "c.txt"))
