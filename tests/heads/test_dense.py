"""Which places of which maps answer for which boxes, the losses of small cases by hand, and what is found again.

Shapes: b batch, p places, k classes.
"""

import math

import pytest
import torch
from torch import Tensor

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.frames import Frame
from ftlab.heads.dense import dense_grid, retinanet
from ftlab.heads.dense.boxes import IGNORED, NONE, best, middles
from ftlab.heads.dense.dense_grid import Cells, DenseGrid
from ftlab.heads.dense.fcos import Fcos, Points
from ftlab.heads.dense.retinanet import Anchors, Retinanet
from tests.targets.test_boxes import column, parts

LEVELS = [Level(8, 8), Level(12, 16)]
SIZE = (32, 48)
FCOS = {"strides": (8, 16), "width": 8, "depth": 1}
HEADS = {
    "fcos": lambda: Fcos(LEVELS, 3, **FCOS),
    "retinanet": lambda: Retinanet(LEVELS, 3, (8, 16), 8, 1),
    "dense_grid": lambda: DenseGrid(LEVELS, 3, (8, 16)),
}


def asked(head, images: int = 2):
    torch.manual_seed(0)
    maps = [torch.randn(images, level.channels, *(side // level.stride for side in SIZE)) for level in LEVELS]
    batch = Batch(None, torch.arange(images), {"images": torch.zeros(images, 3, *SIZE)})
    return head(Features(levels=tuple(maps)), batch)


def crowded(one):
    return {**one, "crowd": torch.ones_like(one["crowd"])}


def both(one, other):
    return {name: torch.cat([one[name], other[name]]) for name in one}


def points(logits: Tensor, sides: Tensor, centred: Tensor, places: Tensor, ends=(0.0, math.inf)) -> Points:
    near, reach = torch.full((len(places),), 12.0), torch.tensor([ends] * len(places))
    return Points(logits, sides, centred, places, near, reach, torch.tensor([SIZE] * len(logits)))


def test_the_middles_of_places_follow_from_the_map_and_the_image_not_from_a_stride():
    found = middles(torch.zeros(1, 1, 2, 3), (32, 30))
    assert found.tolist() == [[5, 8], [15, 8], [25, 8], [5, 24], [15, 24], [25, 24]]


def test_a_place_answers_for_the_smallest_box_whose_middle_is_near():
    places = torch.tensor([[4.0, 4.0], [12.0, 4.0], [20.0, 4.0], [28.0, 4.0], [36.0, 4.0]])
    shown = points(torch.zeros(1, 5, 3), torch.zeros(1, 5, 4), torch.zeros(1, 5), places)
    wide, small = parts((0, 0, 40, 8)), parts((10, 0, 15, 8))
    # 12 pixels around 20, the middle of the wide box; (36, 4) is 16 away, and (12, 4) lies in the smaller box too.
    assert shown.match(both(wide, small)).tolist() == [NONE, 1, 0, 0, NONE]
    assert shown.match(both(wide, crowded(small))).tolist() == [NONE, 0, 0, 0, NONE]
    assert shown.match(crowded(wide)).tolist() == [IGNORED] * 5
    assert shown.match(parts()).tolist() == [NONE] * 5


def test_each_level_answers_for_its_own_sizes():
    head = Fcos(LEVELS, 3, **FCOS, reach=2.0)  # up to 16 pixels from a place to the farthest side
    shown = asked(head, images=1)
    assert shown.reach.unique(dim=0).tolist() == [[0, 16], [16, math.inf]]
    level = (shown.near / head.radius).long()
    for box, stride in (((2, 2, 14, 14), 8), ((1, 1, 31, 31), 16)):
        assert level[shown.match(parts(box)) == 0].unique().tolist() == [stride]


def focal(logit: float, is_true: bool) -> float:
    chance = 1 / (1 + math.exp(-logit))
    right, share = (chance, 0.25) if is_true else (1 - chance, 0.75)
    return -share * (1 - right) ** 2 * math.log(right)


def test_the_loss_of_places_is_that_of_a_pen_and_paper():
    places = torch.tensor([[4.0, 4.0], [40.0, 28.0]])
    logits = torch.tensor([[[0.5, -1.0, 0.0], [-2.0, 1.0, 0.3]]])
    shown = points(logits, torch.tensor([[[4.0, 4, 4, 4], [1, 1, 1, 1]]]), torch.tensor([[0.7, 5.0]]), places)
    total, weight = shown.losses(column(parts((1, 0, 9, 8), labels=[1])))  # the first place: sides 3, 4, 5, 4
    classes = sum(focal(x, (p, k) == (0, 1)) for p, row in enumerate(logits[0].tolist()) for k, x in enumerate(row))
    iou, around = 56 / 72, 72  # (0, 0, 8, 8) beside (1, 0, 9, 8): 7 of 9 columns; the box around both is their union
    giou = 1 - (iou - (around - 72) / around)
    middle, chance = math.sqrt(3 / 5), 1 / (1 + math.exp(-0.7))
    centred = -middle * math.log(chance) - (1 - middle) * math.log(1 - chance)
    assert float(total) == pytest.approx(classes + giou + centred, rel=1e-5)
    assert float(weight) == 1


def test_a_crowd_costs_nothing_where_it_is_and_an_empty_image_all_of_its_background():
    places = torch.tensor([[4.0, 4.0], [40.0, 28.0]])
    logits = torch.tensor([[[0.5, -1.0, 0.0], [-2.0, 1.0, 0.3]]])
    shown = points(logits, torch.ones(1, 2, 4), torch.zeros(1, 2), places)
    background = [sum(focal(x, False) for x in row) for row in logits[0].tolist()]
    total, weight = shown.losses(column(crowded(parts((0, 0, 8, 8)))))
    assert (float(total), float(weight)) == (pytest.approx(background[1], rel=1e-5), 0)
    assert float(shown.losses(column(parts()))[0]) == pytest.approx(sum(background), rel=1e-5)


def test_anchors_are_matched_as_the_paper_says():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 22], [0, 0, 10, 30], [30, 0, 40, 10], [0, 0, 8, 8]])
    # IoU with (0, 0, 10, 10): 1, 0.45, 0.33, 0, 0.64
    assert retinanet.match(anchors, parts((0, 0, 10, 10))).tolist() == [0, IGNORED, NONE, NONE, 0]
    far = both(parts((0, 0, 10, 10)), parts((36, 0, 46, 10)))  # the best anchor of a box is its own with any overlap
    assert retinanet.match(anchors, far).tolist() == [0, IGNORED, NONE, 1, 0]
    apart = both(parts((0, 0, 10, 10)), parts((100, 0, 110, 10)))  # that no anchor touches
    assert retinanet.match(anchors, apart).tolist() == [0, IGNORED, NONE, NONE, 0]
    assert retinanet.match(anchors, parts((100, 0, 110, 10))).tolist() == [NONE] * 5
    crowd = both(crowded(parts((26, 0, 60, 60))), parts((0, 0, 10, 10)))
    assert retinanet.match(anchors, crowd).tolist() == [1, IGNORED, NONE, IGNORED, 1]
    assert retinanet.match(anchors, parts()).tolist() == [NONE] * 5


def test_a_cell_tells_the_smallest_box_whose_middle_it_holds():
    cells = torch.tensor([[0.0, 0, 16, 16], [16, 0, 32, 16], [32, 0, 48, 16]])
    boxes = both(both(parts((0, 0, 20, 16)), parts((4, 4, 12, 12))), parts((8, 0, 24, 16)))  # middles 10, 8, 16
    assert dense_grid.match(cells, boxes).tolist() == [1, 2, NONE]
    assert dense_grid.match(cells, crowded(boxes)).tolist() == [IGNORED, IGNORED, NONE]


def test_a_code_of_zeros_is_the_anchor_itself_and_costs_the_pair_its_generalized_iou():
    cells = torch.tensor([[0.0, 0, 16, 16]])
    shown = Cells(torch.full((1, 1, 1), -50.0), torch.zeros(1, 1, 4), cells, torch.tensor([SIZE]))
    total, weight = shown.losses(column(parts((4, 0, 20, 16))))
    missed = -0.25 * math.log(1 / (1 + math.exp(50.0)))
    assert (float(total), float(weight)) == (pytest.approx(missed + 1 - 12 / 20, rel=1e-5), 1)


@pytest.mark.parametrize("name", HEADS)
def test_the_loss_hangs_on_every_output_and_images_share_nothing(name):
    head = HEADS[name]()
    boxes = both(parts((2, 2, 14, 14), labels=[2]), parts((10, 1, 40, 31)))
    for target in (column(boxes, parts()), column(parts(), parts())):
        head.zero_grad()
        asked(head).losses(target)[0].backward()
        assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    shown = asked(head)
    shown = shown._replace(**{name: part.detach() for name, part in shown._asdict().items()})
    whole = shown.losses(column(boxes, parts((20, 4, 44, 28))))
    shared = {"places", "near", "reach", "anchors", "cells"}
    own = [shown._replace(**{n: v[i : i + 1] for n, v in shown._asdict().items() if n not in shared}) for i in range(2)]
    each = [one.losses(column(target)) for one, target in zip(own, (boxes, parts((20, 4, 44, 28))), strict=True)]
    assert float(whole[0]) == pytest.approx(float(each[0][0] + each[1][0]), rel=1e-5)
    assert float(whole[1]) == float(each[0][1] + each[1][1]) > 0


@pytest.mark.parametrize("name", HEADS)
def test_at_first_a_place_says_of_each_class_that_it_is_hardly_there(name):
    logits = asked(HEADS[name]()).logits.detach()
    assert logits.shape[::2] == (2, 3)
    assert float(logits.sigmoid().mean()) == pytest.approx(0.01, abs=0.005)


@pytest.fixture(params=[torch.float64, torch.float16], ids=str)
def dtype(request):
    """As a trainer of that precision sets it around each step."""
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", HEADS)
def test_places_are_of_full_precision_in_a_run_of_any(name, dtype):
    head, size = HEADS[name](), (32, 8 * 400)  # of the places in half precision those beyond 2,048 are even pixels
    maps = tuple(torch.zeros(1, level.channels, *(side // level.stride for side in size)) for level in LEVELS)
    outputs = head(Features(levels=maps), Batch(None, torch.arange(1), {"images": torch.zeros(1, 3, *size)}))
    (there,) = [part for name, part in outputs._asdict().items() if name in ("places", "anchors", "cells")]
    assert there.dtype == torch.float32
    middle = (there[:, 0] + there[:, -2]) / 2
    stride = 16 if name == "dense_grid" else 8
    assert float(middle.max()) == 8 * 400 - stride / 2
    assert [one["boxes"].dtype for one in outputs.found(0.0, 0.5, 3)] == [torch.float32]


def test_what_is_told_is_found_again():
    places = torch.tensor([[8.0, 8.0], [9.0, 8.0], [40.0, 20.0]])
    logits = torch.full((1, 3, 2), -9.0)
    logits[0, 0, 1], logits[0, 1, 1], logits[0, 2, 0] = 3.0, 2.0, 1.0
    sides = torch.tensor([[[4.0, 4, 4, 4], [5, 4, 3, 4], [20, 10, 30, 5]]])
    (found,) = points(logits, sides, torch.full((1, 3), 50.0), places).found(0.1, 0.5, 10)
    assert found["boxes"].tolist() == [[4, 4, 12, 12], [20, 10, 48, 25]]  # the second is the first; cut at the rim
    assert found["labels"].tolist() == [1, 0]
    chances = [math.sqrt(1 / (1 + math.exp(-x))) for x in (3.0, 1.0)]
    assert found["scores"].tolist() == pytest.approx(chances, rel=1e-5)
    anchors = Anchors(logits[:, :1], torch.zeros(1, 1, 4), torch.tensor([[4.0, 4, 12, 12]]), torch.tensor([SIZE]))
    assert anchors.found(0.1, 0.5, 10)[0]["boxes"].tolist() == [[4, 4, 12, 12]]


def test_only_boxes_of_one_class_stand_in_each_others_way_and_only_so_many_stay():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11], [20, 0, 30, 10], [60, 0, 70, 10]])
    scores = torch.tensor([[0.9, 0.6], [0.8, 0.1], [0.3, 0.0], [0.7, 0.0]])
    found = best(boxes, scores, torch.tensor([40, 50]), 0.2, 0.5, 10)  # the last box lies outside
    assert found["scores"].tolist() == pytest.approx([0.9, 0.6, 0.3])
    assert found["labels"].tolist() == [0, 1, 0]
    assert len(best(boxes, scores, torch.tensor([40, 50]), 0.2, 0.5, 2)["scores"]) == 2
    assert len(best(boxes, scores, torch.tensor([40, 50]), 0.95, 0.5, 2)["scores"]) == 0


def test_the_size_of_an_image_is_known_behind_a_freeze_border_and_filling_is_no_place_to_find():
    torch.manual_seed(0)
    head, sizes = HEADS["fcos"](), [(32, 48), (24, 40)]
    frame = Frame.stacked([Frame.of(((1, 0, 0), (0, 1, 0)), size, size) for size in sizes])
    maps = tuple(torch.randn(2, one.channels, SIZE[0] // one.stride, SIZE[1] // one.stride) for one in LEVELS)
    images = Batch(None, torch.arange(2), {"images": torch.zeros(2, 3, *SIZE)}, frame=frame)
    shown = head(Features(levels=maps), images)
    border = head(Features(levels=maps), Batch(None, torch.arange(2), border=maps, frame=frame))
    assert all(torch.equal(one, other) for one, other in zip(shown, border, strict=True))
    found = shown.found(0.0, 1.0, 1000)[1]["boxes"]
    assert (found[:, 2].max(), found[:, 3].max()) == (40, 24)
