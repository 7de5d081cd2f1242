"""Runs that detect: what they learn, what stays frozen, how batches add up, and what a bundle says of images."""

import json
import os
import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ftlab
from ftlab.assembly import assemble
from ftlab.config import plainly
from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages
from ftlab.run import loaders
from ftlab.run_settings import typed
from ftlab.targets.boxes import BLANK, Boxes
from ftlab.targets.ragged import Ragged
from ftlab.training.fit import prepare
from tests.conftest import Command
from tests.training.test_accumulation import farthest
from tests.training.tiny import Run, Watch, console, moved, parameters_of

SIDE = 64
NETWORK = ("task=detection", "backbone.name=test_efficientnet", "backbone.pretrained=false", "data.image_size=64",
           "trainer.accelerator=cpu", "trainer.precision=32-true", "schedule.warmup=0")  # fmt: skip
SMALL = ("head.width=16", "head.depth=1")
WORDS = (*NETWORK, *SMALL, "data=own", "data.batch_size=8")


def squares(counts: list[int], seed: int, side: int = SIDE) -> Samples:
    """Bright (light) and dark squares on grey, some for each of `counts` images."""
    draw, images, targets = np.random.default_rng(seed), [], []
    for count in counts:
        image, boxes = np.full((side, side, 3), 128, np.uint8), np.zeros((count, 4), np.float32)
        labels = draw.integers(0, 2, count)
        for box, label in zip(boxes, labels, strict=True):
            size = int(draw.integers(side // 8, side // 3))
            left, top = draw.integers(0, side - size, 2)
            box[:] = (left, top, left + size, top + size)
            image[top : top + size, left : left + size] = 255 if label else 0
        images.append(image)
        crowd = torch.zeros(count, dtype=torch.bool)
        targets.append({"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels).long(), "crowd": crowd})
    return Samples(ArrayImages(np.stack(images)), Ragged.of(targets, BLANK), [f"{n}.png" for n in range(len(counts))])


def scenes(train: list[int] | None = None, side: int = SIDE) -> Splits:
    rest = [1, 2, 0, 3, 1, 2]
    several = [squares(counts, seed, side) for seed, counts in enumerate((train or rest * 4, rest, rest))]
    return Splits(*several, Boxes(("dark", "light")))


def config(*words: str) -> Any:
    return ftlab.compose([*WORDS, *words])


def own_run(folder: Path, *words: str, data: Splits) -> Run:
    """One that has not begun."""
    (folder / "checkpoints").mkdir(parents=True)
    settings = plainly(ftlab.compose(list(words)), resolve=True)
    parts, own = assemble(settings, data), typed(settings)
    return Run(parts, *prepare(parts, own, partial(loaders, parts, own), folder, console()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run")
    words = ("strategy=full", "trainer.max_epochs=25", "optimizer.lr=0.005")
    return folder, ftlab.train(config(*words), run_dir=folder, data=scenes(side=96))


def test_a_run_finds_what_an_untrained_network_does_not(run: tuple[Path, dict[str, Any]]) -> None:
    _, report = run
    maps = [record["val"]["map_50"] for record in report["history"]]
    assert maps[0] < 0.1
    assert report["metrics"]["test"]["map_50"] > maps[0] + 0.25
    assert report["objective"]["name"] == "map"
    assert set(report["metrics"]["test"]) > {"loss", "map", "map_75", "map_small", "mar_100", "mean_iou", "map/dark"}


def test_the_score_that_val_decides_is_in_the_bundle_and_what_is_predicted_begins_there(
    run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, report = run
    score = report["detection"]["score"]
    predictor = ftlab.load(folder / "bundle")
    assert predictor.task.score == score != 0.5
    images = [scenes(side=96).test.inputs[place] for place in range(6)]
    records = predictor.predict(images)
    found = [one["score"] for record in records for one in record["boxes"]]
    assert found
    assert min(found) >= score
    more = [one["score"] for record in predictor.predict(images, score=0.05) for one in record["boxes"]]
    assert len(more) > len(found)
    assert max(one["box"][2] for record in records for one in record["boxes"]) > SIDE  # pixels of the original's 96
    page = (folder / "report.html").read_text()
    assert all(text in page for text in ("Precision and recall, test", "background", "The images with the most errors"))


def exported(folder: Path, images: Path, command: Command, *words: str) -> None:
    ended = command("predict", f"bundle={folder / 'bundle'}", f"input={images}", "accelerator=cpu", *words)
    assert ended.code == 0, ended.err


def truth_of(test: Samples) -> dict[str, Any]:
    """The true boxes in the form of COCO's files."""
    annotations = [
        {"image_id": n + 10, "category_id": label + 1, "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]],
         "area": (box[2] - box[0]) * (box[3] - box[1]), "iscrowd": 0}
        for n, one in enumerate(test.targets.samples())
        for box, label in zip(one["boxes"].tolist(), one["labels"].tolist(), strict=True)
    ]  # fmt: skip
    return {
        "images": [{"id": n + 10} for n in range(len(test))],
        "annotations": [{"id": n + 1, **one} for n, one in enumerate(annotations)],
        "categories": [{"id": 1, "name": "dark"}, {"id": 2, "name": "light"}],
    }


@pytest.mark.parametrize(
    ("package", "judge"), [("faster_coco_eval", "COCOeval_faster"), ("pycocotools", "cocoeval.COCOeval")]
)
def test_the_exported_json_has_the_figures_of_the_report(
    run: tuple[Path, dict[str, Any]], tmp_path: Path, command: Command, package: str, judge: str
) -> None:
    """As the two tools that the field judges by read the files."""
    tool = pytest.importorskip(package, reason=f"pip install {package}")
    folder, report = run
    test = scenes(side=96).test
    assert test is not None
    (tmp_path / "images").mkdir()
    for place in range(len(test)):
        Image.fromarray(test.inputs[place].permute(1, 2, 0).numpy()).save(tmp_path / "images" / f"{place + 10}.png")
    exported(folder, tmp_path / "images", command, "format=coco", "output=boxes.json", "score=0.05")
    assert {one["image_id"] for one in json.loads(Path("boxes.json").read_text())} <= {*range(10, 16)}  # files' numbers
    Path("truth.json").write_text(json.dumps(truth_of(test)))
    read = getattr(tool, "COCO", None) or import_module(f"{package}.coco").COCO
    truth = read("truth.json")
    made = getattr(import_module(f"{package}.{judge}".rpartition(".")[0]), judge.rpartition(".")[2])
    eye = made(truth, truth.loadRes("boxes.json"), "bbox")
    eye.evaluate(), eye.accumulate(), eye.summarize()
    expected = dict(zip(("map", "map_50", "map_75", "map_small"), eye.stats, strict=False))
    assert {name: report["metrics"]["test"][name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert report["metrics"]["test"]["mar_100"] == pytest.approx(eye.stats[8], abs=1e-6)


def test_boxes_are_written_as_other_tools_read_them_and_nothing_is_overwritten(
    run: tuple[Path, dict[str, Any]], tmp_path: Path, command: Command
) -> None:
    folder, _ = run
    (tmp_path / "images").mkdir()
    image = scenes(side=96).test.inputs[0].permute(1, 2, 0).numpy()  # type: ignore[union-attr]
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "images" / "b.jpg")
    exported(folder, tmp_path / "images", command, "output=lines.jsonl")
    lines = [json.loads(line) for line in Path("lines.jsonl").read_text().splitlines()]
    exported(folder, tmp_path / "images", command, "format=yolo", "output=texts")
    assert Path("texts/classes.txt").read_text() == "dark\nlight\n"
    rows = [row.split() for row in Path("texts/a.txt").read_text().splitlines()]
    for row, one in zip(rows, lines[0]["boxes"], strict=True):
        left, top, right, bottom = (side / 96 for side in one["box"])
        numbers = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, one["score"]]
        assert ["dark", "light"][int(row[0])] == one["class"]
        assert [float(number) for number in row[1:]] == pytest.approx(numbers, abs=1e-5)
    odd = tmp_path / "odd" / os.fsdecode(b"\xff.png")  # a name that is no UTF-8 can be read, but not printed
    odd.parent.mkdir()
    odd.write_bytes((tmp_path / "images" / "a.png").read_bytes())
    exported(folder, odd.parent, command, "format=yolo", "output=odd_texts", "score=0.05")
    assert len([*Path("odd_texts").iterdir()]) == 2
    exported(folder, tmp_path / "images", command, "format=overlay", "output=drawn")
    with Image.open("drawn/a.png") as drawn:
        assert drawn.size == (96, 96)
        assert (np.asarray(drawn) != image).any() == bool(rows)
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["a.png", "b.png", "predictions.jsonl"]
    exported(folder, tmp_path / "images", command, "format=coco", "output=boxes.json")
    assert {one["image_id"] for one in json.loads(Path("boxes.json").read_text())} <= {1, 2}
    for words, said in (
        (("format=overlay", "output=drawn"), "drawn: the file exists already"),
        (("format=overlay",), "format=overlay: needs output=..., a new folder"),
        (
            ("format=cocoo", "output=x.json"),
            r"format=cocoo: expected coco \| yolo",
        ),
        (("format=coco", "output=x.txt"), "output=x.txt: format=coco is a file that ends in .json"),
        (("score=0.001",), "score=0.001: accepted is 0.05"),
    ):
        ended = command("predict", f"bundle={folder / 'bundle'}", f"input={tmp_path / 'images'}", *words)
        assert ended.code == 2
        assert re.search(said, ended.err), ended.err


@pytest.mark.parametrize("head", ["fcos", "retinanet", "dense_grid"])
def test_a_frozen_network_is_computed_once_and_its_head_learns_the_same(tmp_path: Path, head: str) -> None:
    words = [*NETWORK, "data=own", "data.batch_size=8", f"head={head}", "strategy=head_only", "trainer.max_epochs=2"]
    reports = {
        mode: ftlab.train(ftlab.compose([*words, f"cache={mode}"]), run_dir=tmp_path / mode, data=scenes())
        for mode in ("auto", "off")
    }
    assert reports["auto"]["phases"][0]["cache"]["train"] == "memory"
    losses = [[epoch["train"]["loss"] for epoch in report["history"]] for report in reports.values()]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("head", ["fcos", "retinanet", "dense_grid"])
def test_4_batches_of_4_are_1_of_16_where_images_hold_0_to_40_boxes(tmp_path: Path, head: str) -> None:
    words = [*NETWORK, *(SMALL if head != "dense_grid" else ()), f"head={head}", "data=own", "schedule=constant"]
    words += ["strategy=head_only", "optimizer=sgd", "optimizer.lr=0.01", "trainer.max_epochs=1", "monitor=loss"]
    counts = [0, 0, 0, 0, 40, 1, 0, 3, 17, 0, 0, 2, 5, 5, 1, 0, 0, 0, 0, 0]  # whole batches without a box among them

    def trained(name: str, *own: str) -> dict[str, torch.Tensor]:
        return own_run(tmp_path / name, *words, *own, data=scenes(counts)).fit().state()

    many = trained("many", "data.batch_size=4", "trainer.accumulate_grad_batches=4")
    once = trained("once", "data.batch_size=16")
    assert farthest(many, once) < 1e-6
    assert farthest(many, trained("alone", "data.batch_size=4")) > 1e-4


def test_what_is_frozen_stays_as_it_is_bit_by_bit(tmp_path: Path) -> None:
    watch = Watch()
    words = [*WORDS, "strategy=partial", "strategy.last=1", "trainer.max_epochs=2"]
    run = own_run(tmp_path, *words, data=scenes()).fit(watch)
    trains = parameters_of(run, run.parts.phases[-1].trainable)
    last = watch.epochs[-1]
    changed = moved(last.before, last.after)
    assert changed
    assert {name for name in changed if name in dict(run.parts.model.named_parameters())} <= trains
    modules = {name.rpartition(".")[0] for name in trains}
    assert {name.rpartition(".")[0] for name in changed} <= modules  # statistics of BatchNorm too
    assert any(name.startswith("head.") for name in changed)


def test_there_is_no_closed_form_and_the_plan_says_so(command: Command) -> None:
    scenes_of = ["data.scenes=[8,4,4]", "cache=off"]
    ended = command("plan", *NETWORK, *scenes_of, "strategy=closed_form")
    assert ended.code == 2
    assert "task=detection has no convex fit of its last layer" in ended.err
    assert "use head=linear" not in ended.err
    ended = command("plan", *NETWORK, *scenes_of)
    assert ended.code == 0, ended.err
    assert "fcos" not in ended.err
    assert "strategy.head_init" not in ended.out  # weights of chance have no features to fit to
    ended = command("plan", "task=detection", "data.image_size=64", *scenes_of)
    why = "not in closed form: task=detection has no convex fit of its last layer"
    assert re.search(r"head/.* 3e-3 +3e-3", ended.out)  # all of the network at once, and fast
    assert f"strategy.head_init=auto: random; {why}" in ended.out


def test_parts_that_do_not_fit_are_named(command: Command) -> None:
    ended = command("plan", "task=detection", "head=linear", "cache=off", "data.scenes=[8,4,4]")
    assert ended.code == 2
    assert "head=linear: gives numbers, and task=detection reads boxes" in ended.err
    ended = command("plan", "head=fcos", "cache=off", "subset=64")
    assert ended.code == 2
    assert "head=fcos: gives boxes, and task=classification reads numbers" in ended.err
    with pytest.raises(UserError, match="unknown key"):
        ftlab.compose(["task=detection", "head.nms=3"])
