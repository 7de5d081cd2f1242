"""A class for each pixel: losses and figures against what is derived by hand, and predictions in the original's pixels.

Shapes: n images, k classes.
"""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import Tensor

from ftlab.batch import Batch
from ftlab.blocks import Sample
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation
from ftlab.frames import Frame
from ftlab.inputs.images.overlay import as_palette_image, overlaid
from ftlab.targets.masks import Masks
from ftlab.tasks.segmentation import Segmentation, background_of, run_lengths

CLASSES = ("background", "cat", "dog")


def task(counts=(6, 3, 1), **settings) -> Segmentation:
    return Segmentation(DataSpec("own", Masks(CLASSES, counts), {"train": 2, "val": 2}), **settings)


def certain(masks: Tensor) -> Tensor:
    """Outputs (n, k, h, w) that are sure of masks (n, h, w)."""
    return 50.0 * torch.nn.functional.one_hot(masks.long(), 3).movedim(-1, 1)


def batch(targets: Tensor) -> Batch:
    return Batch(targets.to(torch.uint8), torch.arange(len(targets)))


TRUE = torch.tensor([[[0, 0, 1], [0, 1, 1]], [[0, 0, 0], [2, 2, 255]]])
SAID = torch.tensor([[[0, 1, 1], [0, 1, 0]], [[0, 0, 0], [0, 2, 2]]])


def evaluated(own: Segmentation) -> Evaluation:
    found = Evaluation(own, 2, keep=2, shared=False)
    for place in range(2):  # in two batches: figures are of all pixels together, no mean of the batches'
        found.update(certain(SAID[place : place + 1]), Batch(TRUE[place : place + 1].byte(), torch.tensor([place])))
    return found


def test_figures_are_those_of_all_pixels_counted_by_hand():
    # background: 5 of 6 true ones and 7 chosen ones; cat: 2 of 3 and 3; dog: 1 of 2 and 1, since 255 counts nowhere.
    figures, _ = evaluated(task()).figures()
    iou = (5 / 8, 2 / 4, 1 / 2)
    assert figures["iou"] == pytest.approx(sum(iou) / 3)
    assert figures["iou_foreground"] == pytest.approx((iou[1] + iou[2]) / 2)
    assert figures["dice"] == pytest.approx((10 / 13 + 4 / 6 + 2 / 3) / 3)
    assert figures["accuracy"] == pytest.approx(8 / 11)
    counted = TRUE != 255
    assert figures["iou"] == pytest.approx(jaccard_score(TRUE[counted], SAID[counted], average="macro"))
    assert "iou_foreground" not in evaluated(task(background=None)).figures()[0]


@pytest.mark.parametrize(
    ("classes", "place"),
    [
        (("cat", "background"), 1),
        (("_background_", "cat"), 0),  # as labelme writes it
        (("cat", "dog", "BG"), 2),
        (("backgrounds", "cat"), None),
        (("background", "Background"), None),  # which of them nobody knows
    ],
)
def test_the_background_is_found_by_its_usual_names_where_one_class_has_such_a_name(classes, place):
    assert background_of("auto", classes) == place
    assert background_of(None, classes) is None


def test_in_half_precision_too_each_pixel_counts_and_large_images_have_a_loss():
    own, whole = task(loss=["cross_entropy", "dice"]), torch.zeros(1, 300, 300, dtype=torch.int64)
    whole[0, :150] = 1  # 45,000 pixels, more than half precision can add up
    whole[0, 0, 0] = 2
    outputs = torch.zeros(1, 3, 30, 30)
    wanted = own.loss(outputs, batch(whole))
    torch.set_default_dtype(torch.float16)  # as a trainer of that precision does around each step
    try:
        found = own.half().loss(outputs.half(), batch(whole))
        metric = own.diagnosis()
        metric.update(*own.compared(certain(whole), batch(whole).targets))
    finally:
        torch.set_default_dtype(torch.float32)
    assert [float(part) for part in found] == pytest.approx([float(part) for part in wanted])
    assert metric.compute().tolist() == [[45000, 0, 0], [0, 44999, 0], [0, 0, 1]]


def test_a_focal_loss_of_any_gamma_has_a_gradient_where_a_pixel_is_sure():
    outputs = certain(TRUE[:1]).requires_grad_()
    task(loss="focal", focal_gamma=0.5).loss(outputs, batch(TRUE[:1]))[0].backward()
    assert outputs.grad.isfinite().all()


def test_a_class_that_is_neither_true_nor_chosen_is_in_no_mean():
    found = Evaluation(task(), 1, shared=False)
    found.update(certain(TRUE[:1]), batch(TRUE[:1]))
    assert found.figures()[0]["iou"] == 1
    found = Evaluation(task(), 1, shared=False)
    found.update(certain(TRUE[:1]), batch(torch.full((1, 2, 3), 255)))
    assert found.figures()[0]["iou"] is None
    assert math.isnan(found.figures()[0]["loss"])


def test_intervals_and_the_trivial_predictor_are_of_the_same_pixels():
    own, found = task(), evaluated(task())
    told = found.judged()
    assert told.trivial["iou"].says == "always saying 'background'"
    assert told.trivial["iou"].value == pytest.approx(6 / 11 / 3)  # the two others have an iou of 0
    low, high = told.intervals["iou"]
    assert low <= found.figures()[0]["iou"] <= high
    assert own.trivials()[0].says == told.trivial["iou"].says


def test_the_report_has_a_row_for_each_class_and_what_is_drawn_is_of_the_worst_image():
    own, found = task(), evaluated(task())
    rows = own.section(found.diagnosis.compute(), "val")["segments"]["classes"]
    assert [(row["label"], row["pixels"]) for row in rows] == [("background", 6), ("cat", 3), ("dog", 2)]
    assert [row["iou"] for row in rows] == pytest.approx([5 / 8, 1 / 2, 1 / 2])
    report = {"segments": own.section(found.diagnosis.compute(), "val")["segments"], "data": {"classes": CLASSES}}
    said = own.blocks(report)[1].text
    assert said.startswith("iou and dice are means over all 3 classes, 'background' among them")
    kinds = ["Heading", "Note", "Table", "Heading", "Confusion"]
    assert [type(block).__name__ for block in own.blocks(report)] == kinds
    del report["segments"]["background"]  # a report of an earlier version tells none
    assert [type(block).__name__ for block in own.blocks(report)] == [kind for kind in kinds if kind != "Note"]
    # By their own means: 1/2 and 1/2 of the first image; 3/4 and 1/2 of the second.
    assert [one["index"] for one in found.worst] == [0, 1]
    assert [one["severity"] for one in found.worst] == pytest.approx([1 / 2, 1 - 5 / 8])


def test_what_is_drawn_has_the_colours_of_the_prediction_and_the_outlines_of_the_truth():
    from PIL import Image

    truth = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1]], dtype=torch.uint8)
    said = torch.tensor([[[1, 0, 0, 0], [1, 0, 0, 0]]])
    frame = Frame.stacked([Frame.of(((1, 0, 0), (0, 1, 0)), (2, 4), (2, 4))])
    own, grey = task(), Image.new("RGB", (4, 2), (100, 100, 100))
    drawn = own.drawn(Sample("x", image=grey), {"answer": certain(said)[0], "target": truth, "frame": frame})
    pixels = np.asarray(drawn.image)
    assert pixels[0, 0].tolist() == [115, 45, 45]  # half of the first colour, dark red, on grey
    assert (pixels[:, 2] == 255).all()  # left of where the truth changes
    assert (pixels[:, [1, 3]] == 100).all()
    assert overlaid(grey, np.zeros((2, 4), np.int64)).getpixel((0, 0)) == (45, 45, 45)
    assert np.asarray(as_palette_image(truth.numpy(), 3)).tolist() == truth.tolist()


def test_pixels_that_count_for_nothing_have_no_loss_and_no_gradient():
    for loss in ("cross_entropy", "focal", "dice", ["cross_entropy", "dice"]):
        own, outputs = task(loss=loss), torch.randn(2, 3, 2, 3, requires_grad=True)
        total, weight = own.loss(outputs, batch(TRUE))
        total.backward()
        assert (outputs.grad[1, :, 1, 2] == 0).all()
        assert (outputs.grad[0] != 0).all()
        other = outputs.detach().clone()
        other[1, :, 1, 2] = torch.tensor([9.0, -9.0, 0.0])
        again, same = own.loss(other, batch(TRUE))
        torch.testing.assert_close(again, total)
        assert weight == same
    nothing = task(loss=["cross_entropy", "dice"]).loss(torch.randn(1, 3, 2, 3), batch(torch.full((1, 2, 3), 255)))
    assert [float(part) for part in nothing] == [0, 0]


def test_losses_are_what_their_definitions_say():
    outputs, truth = torch.randn(2, 3, 2, 3), TRUE
    chances = outputs.softmax(1)
    own = [[chances[i, c, y, x] for y, row in enumerate(mask) for x, c in enumerate(row.tolist()) if c < 3]
           for i, mask in enumerate(truth)]  # fmt: skip

    def mean(name, **settings):
        total, weight = task(loss=name, **settings).loss(outputs, batch(truth))
        return float(total / weight)

    every = [float(p) for image in own for p in image]
    assert mean("cross_entropy") == pytest.approx(-np.log(every).mean(), rel=1e-4)
    focal = [-math.log(p) * (1 - p) ** 1.5 for p in every]
    assert mean("focal", focal_gamma=1.5) == pytest.approx(np.mean(focal), rel=1e-4)
    dice = []
    for image in range(2):
        counted = truth[image] != 255
        there = [c for c in range(3) if (truth[image] == c).any()]
        of = [(chances[image, c][counted], (truth[image] == c)[counted].float()) for c in there]
        dice.append(np.mean([1 - float(2 * (p * t).sum() / (p.sum() + t.sum())) for p, t in of]))
    assert mean("dice") == pytest.approx(np.mean(dice), rel=1e-4)
    of_images = [-np.log([float(p) for p in image]).mean() for image in own]
    both = np.mean([a + 0.5 * b for a, b in zip(of_images, dice, strict=True)])
    assert mean({"cross_entropy": 1, "dice": 0.5}) == pytest.approx(both, rel=1e-4)


def test_class_weights_are_by_pixels():
    balanced = task(class_weights="balanced").class_weights
    torch.testing.assert_close(balanced, torch.tensor([10 / 18, 10 / 9, 10 / 3]))
    outputs = torch.randn(1, 3, 2, 3)
    total, weight = task(class_weights={"cat": 3}).loss(outputs, batch(TRUE[:1]))
    logs = outputs.log_softmax(1)[0].gather(0, TRUE[:1].long())[0]
    by_hand = -(logs * (1 + 2 * (TRUE[0] == 1))).sum() / 12
    torch.testing.assert_close(total / weight, by_hand)


@pytest.mark.parametrize(
    "loss", ["cross_entropy", "focal+dice", ["focal", "cross_entropy"], {"cross_entropy": 1, "dice": 2}]
)
def test_a_loss_of_parts_is_that_of_the_whole(loss):
    own = task(loss=loss, class_weights="balanced")
    outputs, truth = torch.randn(8, 3, 3, 3), torch.randint(0, 4, (8, 5, 6))
    truth[truth == 3] = 255
    truth[2] = 255
    whole = own.loss(outputs, batch(truth))
    parts = [own.loss(outputs[i : i + 2], batch(truth[i : i + 2])) for i in range(0, 8, 2)]
    for one, several in zip(whole, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(one, torch.stack(several).sum())


def test_predictions_come_back_at_the_originals_size():
    """The network saw the middle of a wide image, turned left to right and halved."""
    frame = Frame.of(((-0.5, 0, 6), (0, 0.5, 0)), (8, 16), (4, 4))  # x of 4 to 12, that is 4 to 0
    said = torch.tensor([[[0, 0, 1, 2]] * 4])
    (mask,) = task().in_raw(task().predictions(certain(said)), Frame.stacked([frame]))
    assert (mask.classes.shape, mask.classes.dtype, float(mask.unseen)) == ((8, 16), torch.uint8, 0.5)
    assert mask.classes[3].tolist() == [2] * 4 + [2, 2, 1, 1, 0, 0, 0, 0] + [0] * 4
    (record,) = task().describe([mask], rle=True)
    assert record["shares"] == {"background": 8 / 16, "cat": 2 / 16, "dog": 6 / 16}
    assert (record["size"], record["unseen"]) == ([8, 16], 0.5)
    assert record["masks"]["cat"] == {"size": [8, 16], "counts": [48, 16, 64]}
    assert task().flat(task().describe([mask], rle=False)[0], mask)["shares"]["cat"] == 2 / 16


def test_a_large_original_is_enlarged_in_bands(monkeypatch):
    frame = Frame.of(((0.25, 0, 0), (0, 0.25, 0)), (37, 41), (10, 11))
    logs = torch.randn(3, 5, 6)
    whole = task().in_raw(logs[None], Frame.stacked([frame]))[0]
    monkeypatch.setattr("ftlab.tasks.mask_places.AT_ONCE", 3 * 41 * 5)
    again = task().in_raw(logs[None], Frame.stacked([frame]))[0]
    assert torch.equal(whole.classes, again.classes)
    assert torch.equal(whole.unseen, again.unseen)


def test_run_lengths_go_down_the_columns():
    assert run_lengths(torch.tensor([[True, False], [True, True]])) == {"size": [2, 2], "counts": [0, 2, 1, 1]}
    assert run_lengths(torch.tensor([[False, False]])) == {"size": [1, 2], "counts": [2]}


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(UserError, match=r"task.loss=dise: no such loss; did you mean 'dice'"):
        task(loss=["cross_entropy", "dise"])
    with pytest.raises(UserError, match="dice has the weight -1"):
        task(loss={"dice": -1})
    with pytest.raises(UserError, match=r"task.background=dogs: no such class; did you mean 'dog'"):
        task(background="dogs")
