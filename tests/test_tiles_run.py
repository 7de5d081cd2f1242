"""Runs on images that are cut into tiles: what they are judged by, and what they say of whole images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ftlab
from ftlab.data.base import Samples
from ftlab.targets.ragged import Ragged
from ftlab.tasks.box_metric import coco_figures
from tests.conftest import Command
from tests.test_detection_run import NETWORK, SMALL, squares, truth_of

SIDE, TILE = 128, 64
CUT = (f"data.tile={TILE}", "data.tile_overlap=0.25", "data.image_size=64", "data.batch_size=8", "optimizer.lr=0.005")
SPLITS = {"train": [5, 0, 7, 6, 4, 8, 5, 6], "val": [4, 6, 3], "test": [7, 5, 0]}


def write(folder: Path, samples: Samples, masks: Path | None = None) -> None:
    """The images, and masks of their squares."""
    for place in range(len(samples)):
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(samples.inputs[place].permute(1, 2, 0).numpy()).save(folder / f"{place + 10}.png")
        if masks is not None:
            masks.mkdir(parents=True, exist_ok=True)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            one = samples.targets[place]
            for (left, top, right, bottom), label in zip(one["boxes"].int().tolist(), one["labels"], strict=True):
                mask[top:bottom, left:right] = label + 1
            Image.fromarray(mask).save(masks / f"{place + 10}.png")


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a run, and its report."""
    folder = tmp_path_factory.mktemp("boxes")
    for seed, (split, counts) in enumerate(SPLITS.items()):
        samples = squares(counts, seed, SIDE)
        write(folder / "data" / split, samples)
        node = truth_of(samples)
        node["images"] = [{**one, "file_name": f"{one['id']}.png"} for one in node["images"]]
        (folder / "data" / split / "_annotations.coco.json").write_text(json.dumps(node))
    words = ("data=coco", f"data.root={folder / 'data'}", "strategy=full", "trainer.max_epochs=3", "cache=off")
    return folder, ftlab.train(ftlab.compose([*NETWORK, *SMALL, *words, *CUT]), folder / "run")


def test_a_run_learns_from_tiles_and_is_judged_by_whole_images(
    boxes: tuple[Path, dict[str, Any]], command: Command
) -> None:
    """Predictions of the images' files, judged as COCO does it, have the report's figures."""
    folder, report = boxes
    assert report["data"]["sizes"] == {split: 9 * len(counts) for split, counts in SPLITS.items()}
    assert any("14 images are cut into 126 tiles" in text for text in report["data"]["warnings"])
    bundle, images = folder / "run" / "bundle", folder / "data" / "test"
    words = (f"bundle={bundle}", f"input={images}/*.png", "accelerator=cpu", "score=0.05", "output=found.jsonl")
    ended = command("predict", *words)
    assert ended.code == 0, ended.err
    found = [json.loads(line)["boxes"] for line in Path("found.jsonl").read_text().splitlines()]
    assert any(box["box"][2] > TILE for one in found for box in one)
    rows = [
        {
            "boxes": torch.tensor([box["box"] for box in one]).view(-1, 4),
            "scores": torch.tensor([box["score"] for box in one]),
            "labels": torch.tensor([["dark", "light"].index(box["class"]) for box in one], dtype=torch.int64),
        }
        for one in found
    ]
    expected = coco_figures(Ragged.of(rows, rows[0]), squares(SPLITS["test"], 2, SIDE).targets, ("dark", "light"))
    for name in ("map", "map_50", "mar_100", "map/dark"):
        assert report["metrics"]["test"][name] == pytest.approx(float(expected[name]), abs=1e-6)
    assert report["metrics"]["test"]["map_50"] > 0.03
    assert np.sum(report["detection"]["images"]["true"]) == len(SPLITS["test"])  # images, not tiles


def test_an_evaluation_cuts_as_the_bundle_says(
    boxes: tuple[Path, dict[str, Any]], tmp_path: Path, command: Command
) -> None:
    folder, report = boxes
    own = [f"bundle={folder / 'run' / 'bundle'}", "accelerator=cpu", "batch_size=4"]
    for number, words in enumerate(([], ["data=coco", f"data.root={folder / 'data'}", "split=test"])):
        ended = command("evaluate", *own, *words, f"output={tmp_path / f'{number}.json'}")
        assert ended.code == 0, ended.err
        found = json.loads((tmp_path / f"{number}.json").read_text())
        assert found["metrics"]["map"] == pytest.approx(report["metrics"]["test"]["map"], abs=1e-6)
        assert any("3 images are cut into 27 tiles" in text for text in found["warnings"])


def test_check_and_plan_tell_of_tiles(boxes: tuple[Path, dict[str, Any]], command: Command) -> None:
    folder, _ = boxes
    words = [*NETWORK, *SMALL, "data=coco", f"data.root={folder / 'data'}", *CUT]
    ended = command("check", *words)
    assert "14 images are cut into 126 tiles" in ended.out
    ended = command("plan", *words, "cache=off", "data.image_size=auto")
    assert ended.code == 0, ended.err
    assert "64 x 64 pixels (letterbox), in tiles of 64 pixels" in " ".join(ended.out.split())
    ended = command("plan", *words, "data.tile=16")
    assert ended.code == 2
    assert "data.tile=16: accepted is 32 pixels or more" in ended.err


def test_masks_of_whole_images_are_joined_of_tiles_and_each_pixel_is_judged_once(
    tmp_path: Path, command: Command
) -> None:
    for seed, (split, counts) in enumerate(SPLITS.items()):
        write(tmp_path / "data" / split / "images", squares(counts, seed, SIDE), tmp_path / "data" / split / "masks")
    words = ["task=segmentation", "head=unet", "head.strides=[4,8]", "head.width=16", "strategy=head_only"]
    source = ["data=mask_folder", f"data.root={tmp_path / 'data'}", "trainer.max_epochs=1"]
    report = ftlab.train(ftlab.compose([*NETWORK, *words, *source, *CUT]), tmp_path / "run")
    assert report["data"]["sizes"]["test"] == 27
    assert np.sum(report["segments"]["matrix"]) == len(SPLITS["test"]) * SIDE**2
    bundle = tmp_path / "run" / "bundle"
    ended = command("predict", f"bundle={bundle}", f"input={tmp_path / 'data/test/images'}", "format=masks", "output=m")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in Path("m/predictions.jsonl").read_text().splitlines()]
    assert [line["size"] for line in lines] == [[SIDE, SIDE]] * 3
    assert [line["unseen"] for line in lines] == [0.0] * 3
    with Image.open(Path("m") / lines[0]["mask"]) as mask:
        assert mask.size == (SIDE, SIDE)
