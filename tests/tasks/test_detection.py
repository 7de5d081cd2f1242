"""COCO's figures as its own tools compute them, what val decides, and what is told of the images.

Shapes: n images, k classes.
"""

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import Tensor

from ftlab.batch import Batch
from ftlab.blocks import Sample
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.evaluation import Evaluation
from ftlab.frames import Frame
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.ragged import Parts, Ragged
from ftlab.tasks.box_matches import (
    CROWD,
    NONE,
    best_threshold,
    confusion,
    counts_at,
    curve,
    interpolated,
    judged,
    matched,
)
from ftlab.tasks.box_metric import Gathered
from ftlab.tasks.detection import Detection, brought
from tests.targets.test_boxes import column, parts

NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
CLASSES = ("cat", "dog", "owl", "yak")  # no image has a yak


def task(**settings: Any) -> Detection:
    return Detection(DataSpec("tests", Boxes(CLASSES, (5, 5, 5, 0)), {"train": 15}), **settings)


def seen(*boxes: tuple[float, ...], labels: list[int], scores: list[float]) -> Parts:
    kept = {name: part for name, part in parts(*boxes, labels=labels).items() if name != "crowd"}
    return {**kept, "scores": torch.tensor(scores)}


def crowded(draw: np.random.Generator, images: int = 24) -> tuple[list[Parts], list[Parts]]:
    """Boxes of all sizes, found a little beside where they are, with others that are none; some images are empty."""
    found, true = [], []
    for _ in range(images):
        m, extra = int(draw.integers(0, 8)), int(draw.integers(0, 6))
        corner, sides = draw.uniform(0, 200, (m, 2)), draw.uniform(6, 140, (m, 2))
        boxes, labels = np.concatenate([corner, corner + sides], 1), draw.integers(0, 3, m)
        near = boxes + draw.normal(0, 0.06, (m, 4)) * np.tile(sides, 2)
        said = np.where(draw.random(m) < 0.8, labels, draw.integers(0, 3, m))
        far = draw.uniform(0, 200, (extra, 2))
        all_ = np.concatenate([near, np.concatenate([far, far + draw.uniform(6, 90, (extra, 2))], 1)])
        order = np.argsort(-(scores := draw.random(m + extra)))
        named = np.concatenate([said, draw.integers(0, 3, extra)])
        as_float = [torch.from_numpy(part[order]).float() for part in (all_, scores)]
        found.append({"boxes": as_float[0], "scores": as_float[1], "labels": torch.from_numpy(named[order]).long()})
        crowd = torch.from_numpy(draw.random(m) < 0.1)
        true.append(
            {"boxes": torch.from_numpy(boxes).float(), "labels": torch.from_numpy(labels).long(), "crowd": crowd}
        )
    return found, true


def of_coco(found: list[Parts], true: list[Parts], coco: Any, judge: Any) -> dict[str, float]:
    """The twelve figures, of JSON as anybody would write it."""

    def xywh(box: Tensor) -> list[float]:
        return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]

    annotations = [
        {
            "image_id": n,
            "category_id": int(k) + 1,
            "bbox": xywh(box),
            "area": math.prod(xywh(box)[2:]),
            "iscrowd": int(c),
        }
        for n, one in enumerate(true)
        for box, k, c in zip(one["boxes"], one["labels"], one["crowd"], strict=True)
    ]
    results = [
        {"image_id": n, "category_id": int(k) + 1, "bbox": xywh(box), "score": float(score)}
        for n, one in enumerate(found)
        for box, k, score in zip(one["boxes"], one["labels"], one["scores"], strict=True)
    ]
    whole = {
        "info": {},
        "images": [{"id": n} for n in range(len(true))],
        "annotations": [{"id": place + 1, **one} for place, one in enumerate(annotations)],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = json.loads(json.dumps(whole))
        truth.createIndex()
        judged_ = judge(truth, truth.loadRes(json.loads(json.dumps(results))), "bbox")
        for step in (judged_.evaluate, judged_.accumulate, judged_.summarize):
            step()
    names = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "", "", "mar_100")
    return {name: value for name, value in zip(names, judged_.stats, strict=False) if name}


def gathered(found: list[Parts], true: list[Parts], figures: bool = True, batch: int = 5) -> Any:
    metric = Gathered(CLASSES, figures)
    for start in range(0, len(found), batch):
        metric.update(found[start : start + batch], Ragged.of(true[start : start + batch], BLANK))
    return metric.compute()


def tools() -> list[Any]:
    pair = pytest.param(COCO, COCOeval_faster, id="faster-coco-eval")
    try:
        from pycocotools.coco import COCO as PLAIN
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        return [pair]
    return [pair, pytest.param(PLAIN, COCOeval, id="pycocotools")]


@pytest.mark.parametrize(("coco", "judge"), tools())
def test_figures_are_those_of_cocos_own_tools_on_the_same_boxes(coco: Any, judge: Any) -> None:
    for seed in range(3):
        found, true = crowded(np.random.default_rng(seed))
        ours, theirs = gathered(found, true), of_coco(found, true, coco, judge)
        assert {name: float(ours[name]) for name in theirs} == pytest.approx(theirs, abs=1e-6)
        each = [float(ours[f"map/{name}"]) for name in CLASSES[:3]]
        assert float(ours["map"]) == pytest.approx(sum(each) / 3, abs=1e-6)
        assert math.isnan(ours["map/yak"])


def test_the_own_curves_have_the_area_of_cocos_at_half_overlap() -> None:
    found, true = crowded(np.random.default_rng(3))
    every, at = judged(found, true, len(CLASSES)), np.linspace(0, 1, 101)
    areas = [interpolated(*curve(every, k), at).mean() for k in range(3)]
    assert np.mean(areas) == pytest.approx(float(gathered(found, true)["map_50"]), abs=1e-6)


def test_what_nothing_defines_is_none() -> None:
    figures = task().figures(gathered([seen(labels=[], scores=[])], [parts()]))
    assert set(figures) == set(task().better)
    assert set(figures.values()) == {None}
    missed = task().figures(gathered([seen(labels=[], scores=[])], [parts((0, 0, 9, 9))]))
    assert (missed["map"], missed["map/cat"], missed["map/dog"], missed["mean_iou"]) == (0, 0, None, None)
    assert (missed["map_small"], missed["map_large"]) == (0, None)


def test_the_surest_box_takes_what_it_overlaps_most_and_a_crowd_is_neither_right_nor_wrong() -> None:
    true = parts((0, 0, 10, 10), (0, 0, 10, 12), (50, 50, 90, 90), (30, 0, 40, 10), labels=[0, 0, 1, 1])
    true["crowd"][2] = True
    boxes = [(0, 0, 10, 10), (0, 0, 10, 11), (60, 60, 70, 70), (55, 55, 75, 75), (30, 0, 40, 10), (0, 0, 10, 10)]
    found = seen(*boxes, labels=[0, 0, 1, 1, 0, 0], scores=[0.5, 0.9, 0.8, 0.7, 0.6, 0.1])
    # The second is surer than the first: 10/11 with the one, 11/12 with the other, which it takes.
    assert matched(found, true).tolist() == [0, 1, CROWD, CROWD, NONE, NONE]
    assert matched(found, true, by_class=False).tolist() == [0, 1, CROWD, CROWD, 3, NONE]
    table = confusion([found], [true], 2, threshold=0.2)
    assert table.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]  # a dog was taken for a cat
    assert confusion([found], [true], 2, threshold=0.05).tolist() == [[2, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert confusion([found], [true], 2, threshold=0.95).tolist() == [[0, 0, 2], [0, 0, 1], [0, 0, 0]]


def test_the_score_is_that_of_the_best_mean_f1() -> None:
    true = [parts((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), labels=[0, 0, 1])]
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (60, 0, 70, 10), (80, 0, 90, 10)]
    found = [seen(*boxes, labels=[0, 0, 1, 1, 0], scores=[0.9, 0.6, 0.8, 0.3, 0.4])]
    every = judged(found, true, len(CLASSES))
    said, right = counts_at(every, 0.35)
    assert (said.tolist(), right.tolist()) == ([3, 1, 0, 0], [2, 1, 0, 0])
    assert best_threshold(every) == 0.51  # all is right from 0.41 to 0.60, of which it is the middle
    own, kept = task(), task(score=0.7)
    for one in (own, kept):
        one.settle((Ragged.of(found, NOTHING), Ragged.of(true, BLANK)))
    assert (own.settled(), kept.settled()) == ({"score": 0.51}, {"score": 0.7})
    nothing = task()
    nothing.settle((Ragged.of([seen(labels=[], scores=[])], NOTHING), Ragged.of(true, BLANK)))
    assert nothing.score == 0.5


class Told:
    """Outputs that say what they were given."""

    def __init__(self, boxes: list[Parts]) -> None:
        self.boxes = boxes

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        return targets.rows["boxes"].sum() * 0, targets.counts.sum().float()

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        return self.boxes


def test_figures_are_of_the_raw_pixels_and_lose_no_box_that_a_crop_cut_away() -> None:
    """An image of 200 by 100 pixels is halved, and 50 of its columns remain: raw x from 50 to 150."""
    frame = Frame.of(((0.5, 0, -25), (0, 0.5, 0)), (100, 200), (50, 50))
    kind = Boxes(CLASSES)
    true = parts((60, 10, 100, 50), (0, 0, 40, 40), (140, 10, 180, 50), labels=[0, 0, 0])
    inside = kind.follow(true, frame)
    assert inside["boxes"].tolist() == [[5, 5, 25, 25], [45, 5, 50, 25]]  # one is gone, of one the rim is seen
    found = {"boxes": inside["boxes"], "labels": inside["labels"], "scores": torch.tensor([0.9, 0.8])}
    batch = Batch(kind.collated([inside]), torch.tensor([0]), {}, frame=Frame.stacked([frame]))
    evaluation = Evaluation(task(), 1, keep=1, shared=False, column=column(true))
    evaluation.update(Told([found]), batch)
    figures, said = evaluation.figures()
    assert said == []
    assert figures["map_50"] == pytest.approx(34 / 101)  # one of three: COCO's 101 recalls from 0 to 1/3
    assert figures["map_medium"] == figures["map"]  # 40 by 40 in the original, 20 by 20 in the network's pixels
    assert figures["map_small"] is None
    (worst,) = evaluation.worst
    assert worst["note"] == "(2 missed, 1 wrong)"
    assert worst["severity"] == pytest.approx(0.8 + 2 + 0.1)
    assert worst["answer"]["boxes"].tolist() == [[60, 10, 100, 50], [140, 10, 150, 50]]


def test_boxes_come_back_upright_cut_at_the_rim_or_not_at_all() -> None:
    frame = Frame.of(((0, 2, 0), (-2, 0, 80)), (40, 40), (80, 80))  # a quarter turn, twice as large
    raw = parts((4, 10, 12, 30))
    there = {**Boxes(CLASSES).follow(raw, frame), "scores": torch.tensor([0.5])}
    assert brought(there, frame.inverse())["boxes"].tolist() == raw["boxes"].tolist()
    beyond = seen((-20, -20, 20, 20), (-9, -9, -1, -1), labels=[0, 1], scores=[0.9, 0.8])
    kept = brought(beyond, Frame.of(((1, 0, 0), (0, 1, 0)), (80, 80), (40, 40)))
    assert (kept["boxes"].tolist(), kept["labels"].tolist()) == ([[0, 0, 20, 20]], [0])


def test_a_record_holds_the_boxes_that_count_the_surest_first() -> None:
    found = seen((1, 2, 3, 4), (5, 6, 7, 8), (0, 0, 1, 1), labels=[2, 0, 1], scores=[0.75, 0.5, 0.25])
    rows = [
        {"box": [1, 2, 3, 4], "class": "owl", "score": 0.75},
        {"box": [5, 6, 7, 8], "class": "cat", "score": 0.5},
    ]
    assert task().describe([found]) == [{"boxes": rows}]
    assert task(score=0.6).describe([found]) == [{"boxes": rows[:1]}]
    assert len(task(score=0.6).describe([found], **task().at_predict({"score": 0.2}))[0]["boxes"]) == 3
    assert task().at_predict({"score": None}) == {"score": None}
    for value in (0.01, 1.5, "high"):
        with pytest.raises(UserError, match=f"score={value}"):
            task().at_predict({"score": value})


def test_settings_that_are_no_share_are_refused() -> None:
    for key, value in (("score", 1.5), ("overlap", -0.1), ("least_score", 2), ("most", 0)):
        with pytest.raises(UserError, match=f"task.{key}={value}: accepted is"):
            task(**{key: value})
    with pytest.raises(UserError, match=r"task.score=0.01: boxes below task.least_score=0.05 are not kept"):
        task(score=0.01)
    assert task(least_score=0.6).least == 0.6  # a score that val is to decide is above it


def test_the_worst_images_show_what_is_true_and_what_was_found() -> None:
    from PIL import Image

    true = parts((20, 20, 60, 60), (100, 20, 140, 60), labels=[0, 1])
    answer = seen((20, 20, 60, 60), (20, 100, 60, 140), labels=[0, 2], scores=[0.9, 0.6])
    frame = Frame.stacked([Frame.of(((0.5, 0, 0), (0, 0.5, 0)), (160, 160), (80, 80))])
    worst = {"answer": answer, "target": column(true), "frame": frame}
    sample = task().drawn(Sample("a", image=Image.new("RGB", (80, 80))), worst)
    assert (sample.prediction, sample.truth, sample.side) == ("1 missed, 1 wrong", "", 80)
    colours = {sample.image.getpixel(place) for place in ((30, 29), (50, 25), (30, 69))}
    assert len(colours - {(0, 0, 0)}) == 3  # found, missed and wrong
    assert task(score=0.7).drawn(Sample("a"), worst).prediction == "1 missed, 0 wrong"


def test_the_section_is_plain_and_its_blocks_are_drawn(tmp_path: Path) -> None:
    from ftlab.reports.blocks.draw import joined, told

    found, true = crowded(np.random.default_rng(0))
    section = task().section(gathered(found, true, figures=False), "test")
    report = {**json.loads(json.dumps(section)), "data": {"classes": list(CLASSES)}}
    blocks = task().blocks(report)
    page = str(joined(blocks))
    assert "background" in page
    assert set(told(blocks)) == {f"map/{name}" for name in CLASSES}
    own = report["detection"]
    assert sum(map(sum, own["confusion"][:-1])) == sum(int((~one["crowd"]).sum()) for one in true)
    assert sum(own["images"]["true"]) == len(true)
    assert sum(size["true"] for size in own["sizes"]) == sum(one["support"] for one in own["classes"])
