"""Objects that the network's input shows too small, or not at all, are counted."""

import numpy as np
import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.checks.seen import unseen
from ftlab.inputs.images.files import ArrayImages
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.tables.preprocessing import TablePreprocessing
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.classes import Classes
from ftlab.targets.ragged import Ragged


def splits(*boxes: list[float]) -> Splits:
    """Two images of 100 x 200 pixels (h, w), one of them with these boxes."""
    none = torch.zeros(len(boxes))
    column = {"boxes": torch.tensor(boxes), "labels": none.long(), "crowd": none.bool()}
    samples = Samples(ArrayImages(np.zeros((2, 100, 200), np.uint8)), Ragged.of([column, BLANK], BLANK))
    return Splits(samples, None, None, Boxes(("x",)))


def own(resize: str) -> Preprocessing:
    return Preprocessing((50, 50), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0, resize)


@pytest.mark.parametrize(
    ("resize", "small", "gone"),
    [
        ("letterbox", 2, 1),  # to a quarter: 15 and 12 pixels become less than 4, 3 become less than 1
        ("stretch", 1, 1),  # 15 pixels of the height become 7.5; 3 of the width less than 1
        ("crop", 1, 1),  # to a half, without 50 pixels at either side, where a box is: 3 pixels become 1.5
    ],
)
def test_what_is_small_or_gone_is_counted_for_the_way_of_resizing(resize: str, small: int, gone: int):
    found = unseen(splits([80, 40, 180, 55], [100, 10, 112, 90], [5, 5, 45, 95], [60, 60, 63, 90]), own(resize))
    shown = {kind: next((text for text in found if kind in text), "0") for kind in ("under 4 pixels", "not seen")}
    assert int(shown["under 4 pixels"].split()[0]) == small
    assert int(shown["not seen"].split()[0]) == gone
    for text in found:
        assert f"in the {own(resize).summary()} of the network, of 4 boxes of train" in text


def test_nothing_is_said_where_all_is_seen_or_there_is_nothing_to_see():
    assert unseen(splits([20.0, 20, 60, 60]), own("letterbox")) == ()
    plain = Samples(ArrayImages(np.zeros((2, 9, 9), np.uint8)), torch.tensor([0, 1]))
    assert unseen(Splits(plain, None, None, Classes(("a", "b"))), own("crop")) == ()
    assert unseen(splits([0.0, 0, 1, 1]), TablePreprocessing((), ())) == ()
