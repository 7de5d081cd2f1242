"""What was found in tiles becomes what is in the whole image."""

import math

import pytest
import torch
from torch import Tensor

from ftlab.frames import Frame, Window
from ftlab.targets.ragged import Parts
from ftlab.tasks.box_tiles import joined
from ftlab.tasks.mask_places import joined as mask_of

TILES = [Window(0, 0, 64, 64), Window(0, 48, 64, 64)]  # of an image of 64 x 112 pixels, with 16 in common
SIZE = (64, 112)
Found = tuple[tuple[float, float, float, float], float, int]


def tile(*found: Found) -> Parts:
    boxes = torch.tensor([box for box, _, _ in found]).view(-1, 4)
    scores, labels = torch.tensor([score for _, score, _ in found]), torch.tensor([label for *_, label in found])
    return {"boxes": boxes, "scores": scores, "labels": labels.long()}


def whole(*tiles: Parts) -> list[Found]:
    found = joined(tiles, TILES, SIZE, 0.5)
    rows = zip(found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
    return [(tuple(box), round(score, 2), label) for box, score, label in rows]


def test_boxes_of_each_tile_lie_where_the_tile_lies() -> None:
    found = whole(tile(((4, 5, 20, 30), 0.5, 0)), tile(((30, 5, 50, 30), 0.9, 1)))
    assert found == [((78, 5, 98, 30), 0.9, 1), ((4, 5, 20, 30), 0.5, 0)]


def test_an_object_that_two_tiles_show_is_one_by_the_surer_score() -> None:
    assert whole(tile(((50, 5, 60, 30), 0.5, 0)), tile(((3, 5, 12, 30), 0.7, 0))) == [((51, 5, 60, 30), 0.7, 0)]
    assert len(whole(tile(((50, 5, 60, 30), 0.5, 0)), tile(((3, 5, 12, 30), 0.7, 1)))) == 2  # of another class


def test_a_box_that_ends_where_a_tile_was_cut_gives_way_to_the_whole_one() -> None:
    """Though it is surer: the second tile shows all of the object, the first its left third."""
    assert whole(tile(((56, 5, 64, 30), 0.9, 0)), tile(((8, 5, 34, 30), 0.6, 0))) == [((56, 5, 82, 30), 0.6, 0)]


def test_an_object_that_no_tile_shows_as_a_whole_is_put_together() -> None:
    assert whole(tile(((20, 5, 64, 30), 0.8, 0)), tile(((0, 6, 40, 31), 0.9, 0))) == [((20, 5, 88, 31), 0.9, 0)]


def test_neighbours_of_one_class_stay_two() -> None:
    """One ends before the tile was cut, the other begins within what is shared."""
    assert len(whole(tile(((30, 5, 52, 30), 0.8, 0)), tile(((6, 5, 40, 30), 0.9, 0)))) == 2


def test_a_box_at_the_rim_of_the_image_is_whole() -> None:
    """Nothing was cut off there, so its better score counts."""
    rows = whole(tile(((50, 0, 60, 30), 0.9, 0)), tile(((2, 1, 12, 30), 0.7, 0)))
    assert rows == [((50, 0, 60, 30), 0.9, 0)]


def test_tiles_without_a_box_are_an_image_without_one() -> None:
    assert whole(tile(), tile()) == []


def certain(values: Tensor) -> Tensor:
    """Logs (2, h, w) of the probability of class 1."""
    return torch.stack([(1 - values), values]).clamp(min=1e-6).log()


@pytest.mark.parametrize("at_once", [2**24, 2 * 112 * 10])
def test_where_tiles_overlap_the_mean_of_their_chances_decides(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("ftlab.tasks.mask_places.AT_ONCE", at_once)
    chances = [0.2, 0.9]  # of class 1, in all of the first and of the second tile: 0.55 in what they share
    frame = Frame.stacked([Frame.of(((0.5, 0, 0), (0, 0.5, 0)), (64, 64), (32, 32))] * 2)
    found = mask_of([certain(torch.full((8, 8), one)) for one in chances], frame, TILES, SIZE)
    assert found.classes.shape == SIZE
    assert float(found.unseen) == 0
    expected = torch.tensor([0] * 48 + [1] * 16 + [1] * 48, dtype=torch.uint8)
    assert torch.equal(found.classes, expected.expand(SIZE))
    assert math.isclose(sum(chances) / 2, 0.55)
