"""Four images in one, with all that lies in them."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ftlab.cache.before import varied
from ftlab.cache.settings import memory
from ftlab.data.base import Samples
from ftlab.data.sampling import KeyedDataset
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.mosaic import cells
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.matching import check_augment
from ftlab.targets.base import Target
from ftlab.targets.boxes import Boxes
from ftlab.targets.classes import Classes
from ftlab.targets.masks import Masks
from tests.test_detection_run import squares
from tests.training.dense import masked

SIDE = 64
GREY = Preprocessing((SIDE, SIDE), (128 / 255,) * 3, (0.25,) * 3)  # the ground is the mean colour
FOUR = Augment(mosaic=1.0)


def dataset(samples: Samples, kind: Target, augment: Augment = FOUR) -> KeyedDataset:
    return KeyedDataset(samples, GREY.transform(augment), seed=3, target=kind)


def test_four_windows_cover_the_image_and_meet_in_one_place() -> None:
    found = cells((40, 60), (15, 25), 0.5)
    assert [tuple(cell.window) for cell in found] == [
        (0, 0, 15, 25),
        (0, 25, 15, 35),
        (15, 0, 25, 25),
        (15, 25, 25, 35),
    ]
    corner = torch.tensor([[60.0, 40.0], [0.0, 40.0], [60.0, 0.0], [0.0, 0.0]])  # of each image, where it meets others
    for cell, place in zip(found, corner, strict=True):
        here = cell.frame.apply(place[None])[0] + torch.tensor([cell.window.left, cell.window.top])
        assert here.tolist() == [25, 15]
        assert cell.frame.apply(torch.tensor([[10.0, 10.0], [12.0, 10.0]])).diff(dim=0).tolist() == [[1, 0]]  # by half


def items(kind: Target, samples: Samples, epochs: int = 4) -> Iterator[tuple[torch.Tensor, object]]:
    own = dataset(samples, kind)
    for epoch in range(epochs):
        for index in range(len(samples)):
            fields, target, number, frame = own[epoch, index]
            assert number == index
            assert frame is not None
            assert frame.size.tolist() == [SIDE, SIDE]
            yield fields["images"], target


def test_a_mask_says_of_each_pixel_what_is_to_be_seen_there() -> None:
    samples = masked(squares([3, 2, 4, 1], 0))
    right, seen = 0, 0
    for image, mask in items(Masks(("background", "dark", "light")), samples):
        assert isinstance(mask, torch.Tensor)
        shown = torch.where(image[0] > 1, 2, torch.where(image[0] < -1, 1, 0))
        counted = mask != 255  # where none of the four lies nothing counts
        assert (image[:, ~counted] == 0).all()
        right += int((shown == mask)[counted].sum())
        seen += int(counted.sum())
        assert (mask[counted] > 0).any()
    assert right / seen > 0.97  # the rims of what is interpolated


def test_boxes_lie_around_what_is_to_be_seen() -> None:
    inside, boxed, bright = 0, 0, 0
    for image, one in items(Boxes(("dark", "light")), squares([2, 1, 3, 0], 1)):
        assert isinstance(one, dict)
        marked = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        for left, top, right, bottom in one["boxes"].round().int().tolist():
            assert 0 <= left < right <= SIDE
            assert 0 <= top < bottom <= SIDE
            marked[top:bottom, left:right] = True
        there = image[0].abs() > 1
        inside, boxed, bright = (
            inside + int((marked & there).sum()),
            boxed + int(marked.sum()),
            bright + int(there.sum()),
        )
    assert inside / boxed > 0.9
    assert inside / bright > 0.9  # a box of which less than a quarter is left is left out


def test_a_mosaic_depends_on_seed_epoch_and_index_alone() -> None:
    own = dataset(squares([2, 1, 3, 1], 1), Boxes(("dark", "light")))
    first = own[5, 2]
    torch.rand(3)
    again = own[5, 2]
    assert torch.equal(first[0]["images"], again[0]["images"])
    assert torch.equal(first[1]["boxes"], again[1]["boxes"])
    assert not torch.equal(first[0]["images"], own[6, 2][0]["images"])


def test_a_share_of_the_images_stays_by_itself() -> None:
    samples, kind = squares([1] * 40, 2), Boxes(("dark", "light"))
    some = dataset(samples, kind, Augment(mosaic=0.5))
    alone = sum(
        np.array_equal(some[0, n][0]["images"], GREY.transform()(samples.inputs[n])["images"]) for n in range(40)
    )
    assert 8 < alone < 32


def test_what_cannot_be_put_together_says_so() -> None:
    check_augment(FOUR, GREY, Boxes(("dark",)))
    with pytest.raises(UserError, match=r"augment.mosaic=1.0: classes cannot follow it"):
        check_augment(FOUR, GREY, Classes(("dark", "light")))
    with pytest.raises(UserError, match=r"augment.mosaic=1.5: accepted is 0 to 1"):
        Augment(mosaic=1.5)
    assert varied(memory(1.0, "auto", 4, 1.0), FOUR) == "augment.mosaic makes new images of four"  # type: ignore[arg-type]
