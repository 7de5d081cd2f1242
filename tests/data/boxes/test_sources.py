"""Boxes of each form are those that were written, in the splits that the files or the seed say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.sources.outlines import drawn, polygon
from ftlab.data.sources.run_lengths import around, mask_of
from ftlab.errors import UserError
from tests.data.boxes.made import ALL, BOXES, SIZES, coco, coco_node, image, voc, voc_text, yolo, yolo_lines

SOURCES = {"coco": coco, "yolo": yolo, "voc": voc}


def told(splits: Splits, samples: Samples) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Boxes with names of classes by the stem of the file."""
    found = {}
    for index in range(len(samples)):
        one = samples.targets[index]
        names = [splits.target.classes[label] for label in one["labels"].tolist()]
        found[Path(samples.name(index)).stem] = list(zip(names, map(tuple, one["boxes"].tolist()), strict=True))
    return found


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_boxes_are_those_that_were_written_each_with_its_image(tmp_path: Path, make):
    splits = make(tmp_path).survey(seed=0)
    assert (splits.faults, splits.problems, splits.val, splits.test) == ((), (), None, None)
    assert set(splits.target.classes) == {"cat", "dog"}
    found = told(splits, splits.train)
    assert found.keys() == BOXES.keys()
    for name, boxes in BOXES.items():
        assert [label for label, _ in found[name]] == [label for label, _ in boxes]
        for (_, box), (_, wanted) in zip(found[name], boxes, strict=True):
            assert box == pytest.approx(wanted, abs=1e-4)
    for index in range(2):
        assert splits.train.inputs[index].size == SIZES[Path(splits.train.name(index)).stem]
    assert splits.target.misshapen(splits.train.targets) is None
    assert splits.target.faults(splits.train.targets) == {}


def many(root: Path, make, count: int = 20) -> None:
    """`count` pictures like a, named p0_0, p0_1, p1_0, ..."""
    make(root)
    node = coco_node()
    for number in range(count):
        name = f"p{number // 2}_{number % 2}"
        for folder in ("images", "JPEGImages"):
            image(root / folder / f"{name}.png", SIZES["a"], number + 1)
        if make is yolo:
            (root / "labels" / f"{name}.txt").write_text("\n".join(yolo_lines("a")))
        elif make is voc:
            (root / "Annotations" / f"{name}.xml").write_text(voc_text("a").replace("a.png", f"{name}.png"))
        node["images"].append({"id": 100 + number, "file_name": f"{name}.png"})
        node["annotations"] += [{"image_id": 100 + number, "category_id": 3, "bbox": [1, 2, 3, 4]}]
    if make is coco:
        (root / "annotations.json").write_text(json.dumps(node))


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_a_split_by_seed_keeps_groups_together(tmp_path: Path, make):
    many(tmp_path, make)
    source = make(tmp_path / "other", split=[0.6, 0.2, 0.2])
    source.root = str(tmp_path)
    sizes = [len(part) for part in source.survey(seed=1).parts().values()]
    assert sum(sizes) == 22
    assert sizes[0] > sizes[1] > 0 < sizes[2]
    grouped = make(tmp_path / "other", split=[0.6, 0.2, 0.2], group_pattern="([^/_]+)_[0-9]+[.]")
    grouped.root = str(tmp_path)
    splits = grouped.survey(seed=1)
    groups = [{Path(name).stem.split("_")[0] for name in part.names} for part in splits.parts().values()]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert splits.train.groups is not None


def test_files_of_coco_for_each_split_are_found_or_named(tmp_path: Path):
    node = coco_node()
    for split in ("train", "valid"):
        for name, size in SIZES.items():
            image(tmp_path / split / f"{name}.png", size)
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(node))
    source = coco(tmp_path / "other")
    source.root = str(tmp_path)
    splits = source.survey(0)
    assert {split: len(part) for split, part in splits.parts().items()} == {"train": 2, "val": 2}
    assert "valid" in splits.val.names[0]
    source.files = {"train": "valid/_annotations.coco.json", "val": None, "test": None}
    assert "valid" in source.survey(0).train.names[0]


def test_a_file_that_is_typed_leaves_the_others_to_be_found_and_is_none_of_them(tmp_path: Path):
    source = coco(tmp_path)
    for split in ("train", "val"):
        path = tmp_path / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco_node()))
    source.files["train"] = "annotations/instances_train2017.json"
    assert {split: len(part) for split, part in source.survey(0).parts().items()} == {"train": 2, "val": 2}
    source.files = {"train": "annotations/instances_val2017.json", "val": None, "test": None}
    assert list(source.survey(0).parts()) == ["train"]


def test_a_class_has_one_number_whatever_the_order_of_the_categories_in_a_file(tmp_path: Path):
    node = coco_node()
    (tmp_path / "v.json").write_text(json.dumps({**node, "categories": node["categories"][::-1]}))
    splits = coco(tmp_path, node, train="annotations.json", val="v.json").survey(0)
    assert told(splits, splits.val) == told(splits, splits.train)
    assert {label for boxes in told(splits, splits.val).values() for label, _ in boxes} == {"cat", "dog"}


def test_coco_ids_are_of_any_order_and_crowds_and_empty_images_are_kept(tmp_path: Path):
    node = coco_node()
    node["annotations"] = [{**node["annotations"][1], "iscrowd": 1}]
    splits = coco(tmp_path, node).survey(0)
    counts = dict(
        zip([Path(name).stem for name in splits.train.names], splits.train.targets.counts.tolist(), strict=True)
    )
    assert counts == {"a": 1, "b": 0}
    assert splits.train.targets.rows["crowd"].tolist() == [True]


def as_text(counts: list[int]) -> str:
    """Run lengths as the COCO API writes them, from its description."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            letter, value = value & 31, value >> 5
            more = value != (-1 if letter & 16 else 0)
            text += chr((letter | (32 if more else 0)) + 48)
    return text


@pytest.mark.parametrize("written", ["numbers", "text", "polygon"])
def test_an_annotation_without_a_box_has_that_around_its_segmentation(tmp_path: Path, written):
    mask = np.zeros((30, 40), bool)
    mask[3:18, 4:14] = True
    mask[5, 13] = False
    runs = np.diff(np.flatnonzero(np.diff(mask.T.flatten(), prepend=~mask[0, 0], append=~mask[-1, -1]))).tolist()
    outlines = {
        "numbers": {"size": [30, 40], "counts": runs},
        "text": {"size": [30, 40], "counts": as_text(runs)},
        "polygon": [[4, 3, 9, 3, 14, 18], [4, 17, 5, 17, 5, 18]],
    }
    node = coco_node()
    entry = next(one for one in node["annotations"] if one["category_id"] == 70)
    del entry["bbox"]
    entry["segmentation"] = outlines[written]
    splits = coco(tmp_path, node).survey(0)
    assert ("cat", (4.0, 3.0, 14.0, 18.0)) in told(splits, splits.train)["a"]
    if written != "polygon":
        assert np.array_equal(mask_of(outlines[written]), mask)
        assert around(mask) == (4.0, 3.0, 14.0, 18.0)


def test_long_runs_are_read_as_they_are_written():
    random = np.random.default_rng(0)
    for _ in range(20):
        counts = random.integers(0, 3000, 9).tolist()
        mask = mask_of({"size": [1, sum(counts)], "counts": as_text(counts)})
        assert np.array_equal(mask, mask_of({"size": [1, sum(counts)], "counts": counts}))


def test_yolo_takes_the_box_around_an_outline_and_an_empty_file_for_an_image_without_objects(tmp_path: Path):
    source = yolo(tmp_path)
    (tmp_path / "labels" / "a.txt").write_text("1 0.1 0.5 0.3 0.2 0.5 0.9\n")
    (tmp_path / "labels" / "b.txt").write_text("")
    splits = source.survey(0)
    assert told(splits, splits.train)["a"] == [("dog", pytest.approx((4.0, 6.0, 20.0, 27.0)))]
    assert told(splits, splits.train)["b"] == []
    assert splits.problems == ()


@pytest.mark.parametrize(
    "listing",
    ["path: .\ntrain: images/t\nval: [images/v]", "train: ../images/t\nvalid: images/v", "train: t.txt\nval: images/v"],
)
def test_a_data_yaml_names_folders_and_lists_for_each_split(tmp_path: Path, listing):
    for folder, name in (("t", "a"), ("v", "b")):
        image(tmp_path / "images" / folder / f"{name}.png", SIZES[name])
        (tmp_path / "labels" / folder).mkdir(parents=True)
        (tmp_path / "labels" / folder / f"{name}.txt").write_text("\n".join(yolo_lines(name)))
    (tmp_path / "t.txt").write_text("./images/t/a.png\n")
    source = yolo(tmp_path / "other", split=ALL)
    (tmp_path / "data.yaml").write_text(f"{listing}\nnames:\n  0: cat\n  1: dog\n")
    source.root = str(tmp_path)
    splits = source.survey(0)
    assert list(told(splits, splits.train)) == ["a"]
    assert list(told(splits, splits.val)) == ["b"]


def test_labels_are_found_from_the_folder_that_one_is_in(tmp_path: Path, monkeypatch):
    yolo(tmp_path)
    monkeypatch.chdir(tmp_path)
    source = yolo(Path())
    assert told(source.survey(0), source.survey(0).train)["a"]
    (tmp_path / "labels" / "lost.txt").write_text("")
    assert ["labels/lost.txt" in str(one) for one in source.survey(0).problems] == [True]


def test_voc_lists_say_the_splits_and_difficult_objects_count_as_neither(tmp_path: Path):
    source = voc(tmp_path)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("b 1\n")
    (tmp_path / "Annotations" / "b.xml").write_text(voc_text("b").replace("</name>", "</name><difficult>1</difficult>"))
    splits = source.survey(0)
    assert (list(told(splits, splits.train)), list(told(splits, splits.val))) == (["a"], ["b"])
    assert splits.val.targets.rows["crowd"].tolist() == [True]
    assert "1 objects are marked as difficult" in splits.problems[0].text.replace("object is", "objects are")


def test_voc_files_may_lie_beside_their_images_and_count_from_zero(tmp_path: Path):
    for name, size in SIZES.items():
        image(tmp_path / f"{name}.png", size)
        (tmp_path / f"{name}.xml").write_text(voc_text(name))
    source = voc(tmp_path / "other", first=0)
    source.root = str(tmp_path)
    splits = source.survey(0)
    assert told(splits, splits.train)["a"][0] == ("cat", (5.0, 4.0, 14.0, 18.0))


def test_what_is_only_measured_needs_no_train(tmp_path: Path):
    source = coco(tmp_path, test="annotations.json")
    with pytest.raises(UserError, match=r"data.train: no file of train beside test"):
        source.survey(0)
    source.learned = False
    splits = source.survey(0)
    assert (len(splits.train), len(splits.test)) == (0, 2)
    assert torch.equal(splits.test.targets.counts.sort().values, torch.tensor([1, 2]))


def test_masks_are_drawn_of_segmentations_the_smaller_upon_the_larger(tmp_path: Path):
    node, runs = coco_node(), {"size": [50, 20], "counts": [5, 10, 985]}
    for one in node["annotations"]:
        left, top, width, height = one["bbox"]
        right, bottom = left + width, top + height
        one["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    node["annotations"][0]["segmentation"] = runs  # the column at the left, from 5 to 15
    square = {"bbox": [6, 5, 2, 2], "segmentation": [[6, 5, 8, 5, 8, 7, 6, 7]]}
    node["annotations"].append({"image_id": 9, "category_id": 3, **square})
    source = coco(tmp_path, node)
    source.target_kind = "masks"
    splits = source.survey(0)
    assert splits.target.classes == ("background", "cat", "dog")
    masks = {Path(name).stem: splits.train.targets[index] for index, name in enumerate(splits.train.names)}
    expected = torch.zeros(30, 40, dtype=torch.uint8)
    expected[3:18, 4:14] = 1
    expected[10:30, 20:40] = 2
    expected[5:7, 6:8] = 2
    assert torch.equal(masks["a"], expected)
    column = torch.zeros(50, 20, dtype=torch.uint8)
    column[5:15, 0] = 2
    assert torch.equal(masks["b"], column)
    assert splits.target.faults(splits.train.targets) == {}
    other = splits.suited(type(splits.target)(("dog", "cat", "background")))
    renumbered = torch.tensor([2, 1, 0], dtype=torch.uint8)
    assert torch.equal(other.train.targets[0], renumbered[splits.train.targets[0].long()])


def outlined(root: Path, names: list[str], boxes: list[tuple[int, list[float]]]) -> Splits:
    """Masks of rectangles in a.png, whose numbers are those of the categories."""
    node = coco_node()
    node["categories"] = [{"id": place, "name": name} for place, name in enumerate(names)]
    node["annotations"] = [
        {"image_id": 9, "category_id": of, "bbox": [x, y, r - x, b - y], "segmentation": [[x, y, r, y, r, b, x, b]]}
        for of, (x, y, r, b) in boxes
    ]
    source = coco(root, node)
    source.target_kind = "masks"
    return source.survey(0)


def test_a_category_that_is_called_background_is_the_ground(tmp_path: Path):
    splits = outlined(tmp_path, ["background", "cat"], [(1, [0, 0, 40, 30]), (0, [4, 4, 8, 8])])
    assert splits.target.classes == ("background", "cat")
    expected = torch.ones(30, 40, dtype=torch.uint8)
    expected[4:8, 4:8] = 0
    assert torch.equal(splits.train.targets[splits.train.names.index(str(tmp_path / "images/a.png"))], expected)


def test_masks_have_as_many_classes_as_there_are_and_each_is_drawn_once_to_be_counted(tmp_path: Path, monkeypatch):
    names = [f"thing {place}" for place in range(300)]
    splits = outlined(tmp_path, names, [(299, [0, 0, 40, 30]), (254, [4, 4, 8, 8])])
    place = splits.train.names.index(str(tmp_path / "images/a.png"))
    counted, target, masks = [], splits.target, splits.train.targets
    monkeypatch.setattr("ftlab.data.sources.outlines.drawn", lambda drawing: counted.append(1) or drawn(drawing))
    assert masks.tally(301)[place].nonzero().flatten().tolist() == [255, 300]
    assert masks.tally(301)[place, [255, 300]].tolist() == [16, 40 * 30 - 16]
    assert target.faults(masks) == {}
    assert len(list(target.written(masks))) == 2
    assert len(counted) == 2  # for two masks
    assert masks[place].unique().tolist() == [255, 300]


def test_of_masks_nothing_is_said_of_boxes(tmp_path: Path):
    splits = outlined(tmp_path, ["cat", "dog"], [(0, [-4, 0, 40, 30]), (0, [-4, 0, 40, 30]), (1, [50, 50, 60, 60])])
    assert [one for one in splits.problems if "box" in str(one)] == []


def test_a_triangle_covers_the_pixels_whose_middle_is_inside():
    inside = polygon(np.array([[0, 0], [8, 0], [0, 8]], float), (8, 8))
    rows, columns = np.mgrid[:8, :8] + 0.5
    assert np.array_equal(inside | (rows + columns == 8), rows + columns <= 8)
    assert not polygon(np.array([[-9, -9], [-1, -9], [-1, -1]], float), (8, 8)).any()
    assert polygon(np.array([[-9, -9], [99, -9], [99, 99], [-9, 99]], float), (8, 8)).all()


def test_runs_of_another_size_than_their_image_are_a_fault_of_that_image_alone(tmp_path: Path):
    node = coco_node()
    for one, size in zip(node["annotations"], ([3, 3], [30, 40], [30, 40]), strict=True):
        one["segmentation"] = {"size": size, "counts": [1, size[0] * size[1] - 1]}
    source = coco(tmp_path, node)
    source.target_kind = "masks"
    splits = source.survey(0)
    assert len(splits.train) == 1
    (fault,) = splits.faults
    assert "annotation 100: its mask has 3 x 3 pixels, the image 20 x 50" in fault.reason


@pytest.mark.parametrize("segmentation", [None, [[1, 2, 3]], {"size": [3, 3], "counts": [1]}])
def test_an_annotation_of_which_no_mask_can_be_drawn_is_told(tmp_path: Path, segmentation):
    node = coco_node()
    for one in node["annotations"]:
        one["segmentation"] = segmentation
    source = coco(tmp_path, node)
    source.target_kind = "masks"
    with pytest.raises(UserError, match=r"annotation 10[01]: .*(segmentation|runs)"):
        source.read(0)
