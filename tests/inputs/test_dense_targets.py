"""Boxes and masks go where their image goes, in one draw, whatever is varied.

Shapes: h height, w width, b batch.
"""

import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule, describe
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.base import Target
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.masks import ArrayMasks, Masks
from ftlab.targets.ragged import Ragged

SIZES = [(60, 60), (48, 90), (90, 52), (30, 34)]  # h, w
RESIZES = ("crop", "letterbox", "stretch")
AUGMENTS = {
    "flip": Augment(horizontal_flip=1.0),
    "rotation": Augment(rotation=40.0, fill="black"),
    "shift": Augment(shift=0.3, fill="black"),
    "shear": Augment(shear=0.4, fill="black"),
    "zoom": Augment(zoom=0.4, fill="black"),
    "crop": Augment(crop=0.3),
    "all": Augment(20.0, 0.1, 0.2, 0.2, 0.5, "black", crop=0.5),
}


def pieces(number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A black image (3, h, w) with a bright rectangle, its box and its mask."""
    h, w = SIZES[number % 4]
    box = torch.tensor([[w // 3, h // 4, w // 3 + 12, h // 4 + 9]])
    left, top, right, bottom = box[0].tolist()
    mask = torch.zeros(h, w, dtype=torch.uint8)
    mask[top:bottom, left:right] = 1
    return (mask * 255).expand(3, -1, -1).contiguous(), box.float(), mask


def batches(kind: Target, targets: object, augment: Augment, resize: str) -> list:
    samples = Samples([pieces(number)[0] for number in range(8)], targets)
    own = Preprocessing((56, 72), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0, resize)
    splits, spec = describe("pieces", Splits(samples, samples, None, kind), seed=0)
    loader = DataModule(splits, spec, own, augment, 4, 0, seed=5).loader("train", shuffle=True)
    loader.batch_sampler.set_epoch(2)
    return list(loader)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("augment", AUGMENTS.values(), ids=AUGMENTS)
def test_a_box_lies_around_the_bright_part_and_its_mask_upon_it(augment, resize):
    parts = [{"boxes": pieces(i)[1], "labels": torch.tensor([0]), "crowd": torch.tensor([False])} for i in range(8)]
    boxed = batches(Boxes(("x",)), Ragged.of(parts, BLANK), augment, resize)
    masked = batches(Masks(("ground", "x")), ArrayMasks([pieces(i)[2] for i in range(8)]), augment, resize)
    seen = 0
    for batch, other in zip(boxed, masked, strict=True):
        assert torch.equal(batch.inputs["images"], other.inputs["images"])  # the same draws, whatever follows
        for place, one in enumerate(batch.targets.samples()):
            bright = batch.inputs["images"][place, 0] > 0.5
            mask = other.targets[place] == 1
            assert (bright != mask).sum() <= max(20, 0.25 * int(bright.sum()))  # the rim is blurred: a row or column
            if len(one["boxes"]) and bright.any():
                seen += 1
                left, top, right, bottom = one["boxes"][0].tolist()
                rows, columns = (torch.where(bright.any(axis))[0] for axis in (1, 0))
                around = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
                assert [left, top, right, bottom] == pytest.approx(around, abs=2)
            elif not len(one["boxes"]):
                assert bright.sum() < 0.4 * 12 * 9 * 4  # next to nothing of it is left
    assert seen >= 3


def test_the_draws_are_of_seed_epoch_and_index_alone():
    masks = ArrayMasks([pieces(i)[2] for i in range(8)])
    first, again = (batches(Masks(("ground", "x")), masks, AUGMENTS["all"], "letterbox") for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.inputs["images"], other.inputs["images"])
        assert torch.equal(one.targets, other.targets)
