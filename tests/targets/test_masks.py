"""Masks as targets: what is counted of them, refused, and where their pixels go."""

import numpy as np
import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.module import check, describe
from ftlab.data.sampling import KeyedDataset
from ftlab.errors import UserError
from ftlab.frames import Frame
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ArrayImages
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.masks import ArrayMasks, Masks, ignored

CLASSES = ("ground", "cat", "dog")
TURNED = Augment(rotation=25.0, shift=0.1, shear=0.2, zoom=0.2, horizontal_flip=0.5, fill="black")


def column(*rows: list[list[int]]) -> ArrayMasks:
    return ArrayMasks([np.array(one, np.uint8) for one in rows])


@pytest.mark.parametrize("augment", [None, Augment(horizontal_flip=1.0), TURNED], ids=["evaluation", "flip", "turned"])
@pytest.mark.parametrize("size", [(48, 48), (61, 90), (90, 47)])
def test_a_mask_goes_where_its_image_goes(size, augment):
    """The image is white where the mask is 1: what the network gets of both differs at the rim of the square only."""
    random, agreed = np.random.default_rng(1), []
    for number in range(6):
        mask = np.zeros(size, np.uint8)
        top, left = (int(random.uniform(0.25, 0.5) * side) for side in size)
        mask[top : top + size[0] // 4, left : left + size[1] // 3] = 1
        samples = Samples(ArrayImages(mask[None] * 255), ArrayMasks(mask[None]))
        own = Preprocessing((40, 32), (0.0,) * 3, (1.0,) * 3, "bilinear", 0.9)
        target = Masks(CLASSES)
        fields, moved, _, _ = KeyedDataset(samples, own.transform(augment), number, target=target)[0, 0]
        assert (moved.shape, moved.dtype) == ((40, 32), torch.uint8)
        seen = moved != target.ignore
        agreed.append(((fields["images"][0] > 0.5) == (moved == 1))[seen].float().mean())
        assert (moved == 1).any()
    assert min(agreed) > 0.97


def test_single_pixels_are_found_where_the_inverse_leads():
    mask = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    target = Masks(tuple("abcdefghijkl"))
    flip = Frame.of(((-1, 0, 4), (0, 1, 0)), (3, 4), (3, 4))
    assert target.follow(mask, flip).tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    quarter = Frame.of(((0, -1, 3), (1, 0, 0)), (3, 4), (4, 3))  # clockwise
    assert target.follow(mask, quarter).tolist() == [[8, 4, 0], [9, 5, 1], [10, 6, 2], [11, 7, 3]]
    beside = Frame.of(((1, 0, 1), (0, 1, -2)), (3, 4), (2, 3))
    assert target.follow(mask, beside).tolist() == [[255, 8, 9], [255, 255, 255]]
    double = Frame.of(((2, 0, 0), (0, 2, 0)), (3, 4), (6, 8))
    assert torch.equal(target.follow(mask, double), mask.repeat_interleave(2, 0).repeat_interleave(2, 1))
    with pytest.raises(UserError, match="the mask has 3 x 4 pixels, its image 4 x 3"):
        target.follow(mask, Frame.of(((1, 0, 0), (0, 1, 0)), (4, 3), (3, 4)))


def test_pixels_are_counted_without_those_that_count_for_nothing():
    train = column([[0, 0, 1], [255, 1, 1]], [[2, 0, 0], [0, 0, 255]])
    target = Masks(CLASSES).fitted(train)
    assert target.counts == (6, 3, 1)
    assert target.shown(train[0]) == "60% cat, 40% ground"
    assert Masks.restored(target.stored()) == target
    with pytest.raises(UserError, match="no mask of train has a pixel that counts"):
        target.fitted(column([[255]]))


def test_a_value_that_is_no_class_is_a_fault_of_its_mask():
    masks, target = column([[0, 1]], [[0, 3]], [[2, 255]]), Masks(CLASSES)
    assert target.faults(masks) == {1: "value 3; accepted: 0 to 2, and 255 for what counts for nothing"}
    pixels = ArrayImages(np.zeros((3, 1, 2), np.uint8))
    with pytest.raises(UserError, match=r"a/1 has the target value 3; accepted: 0 to 2"):
        check("own", Splits(Samples(pixels, masks, ["a/0", "a/1", "a/2"]), None, None, target))


def test_what_is_odd_in_masks_is_told():
    parts = {"train": column([[0, 1]], [[2, 2]]), "val": column([[0, 1]], [[255, 255]])}
    told = {found.kind: found for found in Masks(CLASSES).problems(parts)}
    assert told["classes have no sample in val"].examples == ("dog",)
    assert told["masks have no pixel that counts"].examples == ("val 1",)
    assert told["classes have fewer than 10 samples in val"].count == 2


def test_masks_are_shared_out_by_their_rarest_class():
    masks = column([[0, 1]], [[0, 1]], [[0, 2]], [[1, 2]], [[2, 255]], [[0, 0]], [[255, 255]])
    # The ground is in 4 masks, the cat and the dog in 3: of equally rare ones the first.
    assert Masks(CLASSES).strata(masks).tolist() == [1, 1, 2, 1, 2, 0, 3]


def test_more_than_255_classes_need_more_than_a_byte():
    classes = tuple(map(str, range(300)))
    assert (ignored(255), ignored(256), Masks(classes).ignore) == (255, -1, -1)
    masks = ArrayMasks(np.array([[[255, 299, -1]], [[300, 0, 0]]]))
    assert (masks[0].dtype, masks[0].tolist()) == (torch.int64, [[255, 299, -1]])
    assert list(Masks(classes).faults(masks)) == [1]
    of_256, bytes_of = Masks(classes[:256]), column([[255, 0]])  # where 255 is a class
    kept = of_256.follow(bytes_of[0], Frame.of(((1.0, 0, 1), (0, 1.0, 0)), (1, 2), (1, 3)))
    assert kept.tolist() == [[-1, 255, 0]]
    assert of_256.moved(bytes_of, Masks(("x", *classes[:256])))[0].tolist() == [[256, 1]]
    moved = Masks(CLASSES).moved(column([[2, 255]]), Masks((*classes, *CLASSES)))
    assert (moved[0].dtype, moved[0].tolist()) == (torch.int64, [[302, -1]])


def test_masks_are_renumbered_as_a_bundle_has_the_classes():
    target, other = Masks(CLASSES), Masks(("dog", "bird", "ground", "cat"))
    assert target.moved(column([[0, 1, 2, 255]]), other)[0].tolist() == [[2, 3, 0, 255]]
    with pytest.raises(UserError, match=r"the classes \['bird'\] are not the bundle's"):
        other.moved(column([[0]]), target)


def test_equal_masks_are_told_by_one_text_whatever_number_their_classes_have():
    target, more = Masks(CLASSES), Masks(("bird", *CLASSES))
    (one, other) = target.written(column([[0, 2, 255]], [[0, 1, 255]]))
    assert one != other
    assert list(more.written(column([[1, 3, 255]]))) == [one]


def test_columns_are_picked_and_put_together():
    target, both = Masks(CLASSES), ArrayMasks(torch.tensor([[[0]], [[1]], [[2]]], dtype=torch.uint8))
    picked = both.select(torch.tensor([2, 0]))
    whole = target.joined([picked, column([[1, 1]])])
    assert [one.tolist() for one in (whole[0], whole[1], whole[2])] == [[[2]], [[0]], [[1, 1]]]
    with pytest.raises(UserError, match=r"a mask is torch.float32"):
        ArrayMasks([np.zeros((2, 2), np.float32)])


def test_a_split_of_masks_is_described():
    pixels, masks = ArrayImages(np.zeros((4, 2, 2), np.uint8)), column(*[[[0, 1], [2, 255]]] * 4)
    _, spec = describe("own", Splits(Samples(pixels, masks), None, None, Masks(CLASSES)), seed=0)
    assert spec.target.counts == (4, 4, 4)
    assert "at least 2 are needed" in str(Masks(("one",)).misshapen(masks))
