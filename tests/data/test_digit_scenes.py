"""Scenes of digits: what the boxes and masks say is in the pixels, and no digit is in two splits."""

import numpy as np
import pytest
import torch

from ftlab.data.sources import digit_scenes
from ftlab.data.sources.digit_scenes import DigitScenes, shared
from ftlab.errors import UserError

FEW = (12, 4, 3)


def test_scenes_are_drawn_by_the_seed_and_by_nothing_else():
    one, again, other = (DigitScenes(FEW).survey(seed) for seed in (3, 3, 4))
    assert [len(part) for part in one.parts().values()] == list(FEW)
    assert torch.equal(one.train.inputs[5], again.train.inputs[5])
    assert torch.equal(one.train.targets.rows["boxes"], again.train.targets.rows["boxes"])
    assert not torch.equal(one.train.inputs[5], other.train.inputs[5])


def test_each_digit_is_in_scenes_of_one_split_only(monkeypatch):
    seen: list[set[bytes]] = []
    whole = DigitScenes.scene

    def scene(self, draw, pixels, labels):
        seen.append({image.tobytes() for image in pixels})
        return whole(self, draw, pixels, labels)

    monkeypatch.setattr(digit_scenes.DigitScenes, "scene", scene)
    DigitScenes((1, 1, 1)).survey(0)
    train, val, test = seen
    assert not train & val
    assert not train & test
    assert not val & test


def test_boxes_lie_around_the_ink_and_cover_each_other_no_more_than_asked():
    source = DigitScenes(FEW, digits=(8, 8), overlap=0.3)
    draw = np.random.default_rng(0)
    pixels, labels = digit_scenes.images()
    for _ in range(5):
        scene = source.scene(draw, pixels, labels)
        assert len(scene.boxes) <= 8
        for place, (box, label) in enumerate(zip(scene.boxes.tolist(), scene.labels, strict=True)):
            others = [other for number, other in enumerate(scene.boxes.tolist()) if number != place]
            assert all(shared(box, other) <= 0.3 for other in others)
            if all(shared(box, other) == 0 for other in others):
                left, top, right, bottom = map(int, box)
                rows, columns = np.nonzero(scene.mask[top:bottom, left:right] == label + 1)
                assert (rows.min(), columns.min()) == (0, 0)
                assert (rows.max() + 1, columns.max() + 1) == (bottom - top, right - left)


def test_a_task_that_takes_masks_gets_those_of_the_same_scenes():
    boxes, masks = DigitScenes(FEW), DigitScenes(FEW)
    masks.target_kind = "masks"
    found, asked = boxes.survey(0), masks.survey(0)
    assert (found.target.kind, asked.target.kind) == ("boxes", "masks")
    assert asked.target.classes == ("background", *found.target.classes)
    assert torch.equal(found.train.inputs[3], asked.train.inputs[3])
    labels = set((found.train.targets[3]["labels"] + 1).tolist())
    assert set(asked.train.targets[3].unique().tolist()) == {0, *labels}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scenes": (0, 1, 1)}, r"data.scenes=\[0, 1, 1\]"),
        ({"digits": (3, 2)}, r"data.digits=\[3, 2\]"),
        ({"digit_side": (16, 200)}, r"data.digit_side=\[16, 200\]: accepted is \[least, most\], from 1 to 128"),
        ({"overlap": 2}, "data.overlap=2"),
    ],
)
def test_numbers_of_which_no_scene_can_be_made_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        DigitScenes(**settings)
