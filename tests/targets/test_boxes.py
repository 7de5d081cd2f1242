"""Boxes with a class: which of them are told of, and where they go when their image is moved."""

import math

import pytest
import torch

from ftlab.errors import UserError
from ftlab.frames import Frame
from ftlab.inputs.augment import Augment
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.ragged import Ragged

KIND = Boxes(("cat", "dog", "owl"))


def parts(*boxes: tuple[float, ...], labels: list[int] | None = None):
    count = len(boxes)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels if labels is not None else [0] * count, dtype=torch.int64),
        "crowd": torch.zeros(count, dtype=torch.bool),
    }


def column(*samples) -> Ragged:
    return Ragged.of(samples, BLANK)


def followed(box: tuple[float, ...], rows, size=(20, 30)) -> list[list[float]]:
    return KIND.follow(parts(box), Frame.of(rows, (20, 30), size))["boxes"].tolist()


def test_a_flipped_image_flips_its_boxes():
    assert followed((2, 3, 7, 9), ((-1, 0, 30), (0, 1, 0))) == [[23, 3, 28, 9]]


def test_an_enlarged_image_enlarges_them():
    assert followed((2, 3, 7, 9), ((2, 0, 0), (0, 3, 0)), (60, 60)) == [[4, 9, 14, 27]]


def test_a_turned_box_is_the_upright_one_around_its_corners():
    turn = math.sqrt(0.5)  # by 45 degrees about (10, 10): a square of side 4 becomes one of 4 * sqrt(2)
    rows = ((turn, -turn, 10), (turn, turn, 10 - 20 * turn))
    (box,) = followed((8, 8, 12, 12), rows)
    half = 2 * math.sqrt(2)
    assert box == pytest.approx([10 - half, 10 - half, 10 + half, 10 + half], abs=1e-4)


@pytest.mark.parametrize(
    ("shift", "left"),
    [(-5, [[0, 3, 4, 9]]), (-6.9, [[0, 3, 2.1, 9]]), (-8, []), (-100, [])],
    ids=["half seen", "more than a quarter seen", "an eighth seen", "gone"],
)
def test_a_box_is_cut_at_the_rim_and_goes_where_little_is_left(shift, left):
    found = followed((1, 3, 9, 9), ((1, 0, shift), (0, 1, 0)))
    assert found == [pytest.approx(box) for box in left]


def test_labels_and_crowds_go_with_their_boxes():
    one = parts((1, 1, 5, 5), (25, 1, 29, 5), labels=[1, 2]) | {"crowd": torch.tensor([True, False])}
    found = KIND.follow(one, Frame.of(((1, 0, -20), (0, 1, 0)), (20, 30), (20, 30)))
    assert (found["labels"].tolist(), found["crowd"].tolist()) == ([2], [False])
    assert one["boxes"][0].tolist() == [1, 1, 5, 5]  # what it was given stays as it was


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (parts((1, 1, 5, 5), labels=[3]), "class 3; accepted: 0 to 2"),
        (parts((5, 1, 5, 5)), "accepted: left < right, top < bottom"),
        (parts((1, math.nan, 5, 5)), "accepted: left < right, top < bottom"),
    ],
)
def test_what_is_no_box_is_told_with_its_sample(sample, said):
    found = KIND.faults(column(parts(), sample, parts((1, 1, 2, 2))))
    assert list(found) == [1]
    assert said in found[1]


def test_training_boxes_are_counted_by_class_and_none_at_all_is_refused():
    assert KIND.fitted(column(parts((0, 0, 1, 1), (0, 0, 2, 2), labels=[1, 1]), parts())).counts == (0, 2, 0)
    with pytest.raises(UserError, match="no image of train has a box"):
        KIND.fitted(column(parts(), parts()))


def test_a_person_is_told_of_classes_that_are_missing_images_without_a_box_and_boxes_that_come_twice():
    train = column(parts((0, 0, 1, 1), (0, 0, 1, 1), labels=[1, 1]), parts())
    said = [problem.text for problem in KIND.problems({"train": train})]
    assert "2 classes have no sample in train: cat, owl" in said
    assert "1 image has no box: 1 of train" in said
    assert "1 image holds the same box twice: train 0; one of them can only be missed" in said


def test_images_are_shared_out_by_the_rarest_class_in_them():
    box = (0, 0, 1, 1)
    found = KIND.strata(column(parts(box, box, labels=[0, 2]), parts(box, labels=[0]), parts()))
    assert found.tolist() == [2, 0, 3]


def test_equal_boxes_are_the_same_in_any_order():
    one = parts((0, 0, 1, 1), (2, 2, 3, 3), labels=[0, 1])
    assert KIND.same(one, parts((2, 2, 3, 3), (0, 0, 1, 1), labels=[1, 0]))
    assert not KIND.same(one, parts((2, 2, 3, 3), (0, 0, 1, 1), labels=[0, 1]))
    assert KIND.shown(one) == "cat (1), dog (1)"
    assert list(KIND.written(column(one, parts()))) == ["1 cat, 1 dog", "no box"]  # by which earlier runs know it
    assert KIND.shown(parts()) == "no box"


def test_later_data_have_the_numbers_of_the_bundles_classes():
    other = Boxes(("owl", "dog", "cat"))
    assert KIND.moved(column(parts((0, 0, 1, 1), labels=[0])), other).rows["labels"].tolist() == [2]
    with pytest.raises(UserError, match="dog"):
        KIND.moved(column(parts((0, 0, 1, 1), labels=[1])), Boxes(("owl", "cat")))
    fitted = Boxes(KIND.classes, (4, 0, 2))
    assert Boxes.restored(fitted.stored()) == fitted


def test_boxes_refuse_what_mixes_images():
    assert "mixup" in str(KIND.refuses(Augment(mixup=0.2)))
    assert KIND.refuses(Augment(horizontal_flip=0.5, rotation=10)) is None
