"""Runs of task=segmentation: what trains, what the cache changes, and what comes back of images of other sizes."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import ftlab
from ftlab.backbones.base import Backbone, Features, Level
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.config import instantiate, options
from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.exports import exporter
from ftlab.inputs.images.files import ArrayImages
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.prediction import write
from ftlab.predictor import Predictor
from ftlab.targets.masks import ArrayMasks, Masks

SIDE = 32
OWN = Preprocessing((SIDE, SIDE), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0)


def squares(count: int, seed: int) -> Samples:
    """A red or a green square on noise; class 1 or 2."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 120, (count, SIDE, SIDE, 3), dtype=np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        side, label = int(random.integers(10, 18)), int(random.integers(1, 3))
        top, left = random.integers(0, SIDE - side, 2)
        image[top : top + side, left : left + side, label - 1] = 255
        mask[top : top + side, left : left + side] = label
    return Samples(ArrayImages(images), ArrayMasks(torch.from_numpy(masks)))


def splits() -> Splits:
    return Splits(squares(32, 0), squares(16, 1), squares(16, 2), Masks(("background", "red", "green")))


def network() -> "Levels":
    """Two stages, at strides 2 and 4."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stages = OrderedDict(
            stem=nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU()),
            top=nn.Sequential(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU()),
        )
    return Levels(nn.Sequential(stages), {"stem": ["stem"], "top": ["top"]}, 12, OWN)


class Levels(ModuleBackbone):
    """Hands out the last map alone, at its stride of 4."""

    def hand_out(self, strides: Sequence[int]) -> tuple[Level, ...]:
        return (Level(12, 4),)

    def features(self, output: Any) -> Features:
        return Features(levels=(output,))


def trained(folder: Path, *words: str, backbone: Backbone | None = None) -> dict[str, Any]:
    base = "task=segmentation data=own head=unet head.strides=[2,4] head.width=8 strategy=head_only data.image_size=32"
    brief = "data.batch_size=8 trainer.max_epochs=2 schedule=constant schedule.warmup=0 trainer.accelerator=cpu"
    config = ftlab.compose([*base.split(), *brief.split(), "trainer.precision=32-true", *words])
    return ftlab.train(config, run_dir=folder, data=splits(), backbone=backbone or network())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "bundle" / "model.safetensors")


def test_a_short_training_is_better_than_saying_the_background(tmp_path):
    report = trained(tmp_path, "strategy=full", "trainer.max_epochs=12", "optimizer.lr=0.01")
    trivial = report["trivial"]["test"]["iou"]
    assert trivial["says"] == "always saying 'background'"
    assert report["metrics"]["test"]["iou"] > trivial["value"] + 0.2
    assert trivial["verdict"] == "better"
    assert [one["label"] for one in report["segments"]["classes"]] == ["background", "red", "green"]
    assert "What pixels are taken for" in (tmp_path / "report.html").read_text()
    predictor = ftlab.load(tmp_path / "bundle", backbone=network())
    (record,) = predictor.predict([Image.fromarray(np.zeros((50, 70, 3), np.uint8))])
    assert record["size"] == [50, 70]
    assert record["unseen"] == pytest.approx(2 / 7, abs=0.02)  # the sides of what is wider than high
    written(predictor, tmp_path)


def written(predictor: Predictor, folder: Path) -> None:
    """Masks and pictures of two images of one name."""
    inputs = []
    for number, size in enumerate(((40, 30), (20, 60))):
        path = folder / f"in{number}" / "same.png"
        path.parent.mkdir()
        Image.new("RGB", size, (9, 9, 9)).save(path)
        inputs.append(str(path))
    listed, _ = predictor.preprocessing.listed(inputs)
    for form, key in (("masks", "mask"), ("overlay", "overlay")):
        writer = exporter(form, folder / form, predictor.task)
        assert write(predictor, listed, writer, {"rle": False}, 2, 0) == 0
        lines = [json.loads(line) for line in (folder / form / "predictions.jsonl").read_text().splitlines()]
        assert [line[key] for line in lines] == ["same.png", "same_2.png"]
        for line, size in zip(lines, ((40, 30), (20, 60)), strict=True):
            with Image.open(folder / form / line[key]) as image:
                assert (image.size, image.mode) == (size, "P" if form == "masks" else "RGB")
    with pytest.raises(
        UserError, match="format=mask: no such format of predictions of task=segmentation; did you mean 'masks'"
    ):
        exporter("mask", folder / "x", predictor.task)
    with pytest.raises(UserError, match=r"format=masks: needs output=..., a new folder"):
        exporter("masks", None, predictor.task)


@pytest.mark.parametrize("head", ["unet", "fpn", "fcn", "deeplabv3"])
def test_each_head_gives_maps_and_learns_in_all_of_its_parts(head):
    node = options("head")[head]
    width = {} if head == "fcn" else {"width": 16}
    strides = {"strides": [4] if head in ("fcn", "deeplabv3") else [2, 4, 8]}
    made = instantiate({**node, **strides, **width}, levels=(Level(12, 4), Level(20, 8)), num_outputs=3)
    levels = torch.randn(2, 12, 8, 8), torch.randn(2, 20, 4, 4)
    maps = made(Features(levels=levels), Batch(None, torch.arange(2)))
    side = {"fcn": 4, "deeplabv3": 4}.get(head, 16)
    assert maps.shape == (2, 3, side, side)
    maps.square().sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())
    assert made.gives == "maps"


def test_heads_of_one_level_say_so():
    for head in ("fcn", "deeplabv3"):
        with pytest.raises(UserError, match=rf"head.strides=\[8, 16\]: head={head} reads one level"):
            instantiate({**options("head")[head], "strides": [8, 16]}, levels=(Level(12, 8),), num_outputs=3)
    made = instantiate({**options("head")["deeplabv3"], "width": 8}, levels=(Level(12, 16),), num_outputs=3)
    with pytest.raises(UserError, match=r"use data.batch_size=2 or more"):
        made(Features(levels=(torch.randn(1, 12, 4, 4),)), Batch(None, torch.arange(1)))


def test_frozen_stages_are_the_same_bits_and_the_cache_changes_none(tmp_path):
    start = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    for mode in ("off", "memory"):
        report = trained(tmp_path / mode, f"cache={mode}")
        assert (report["phases"][0]["cache"] or {"train": "off"})["train"] == mode
    off, kept = weights(tmp_path / "off"), weights(tmp_path / "memory")
    assert all(torch.equal(off[name], kept[name]) for name in off)
    frozen = {name: tensor for name, tensor in off.items() if "head" not in name}
    assert frozen
    for name, tensor in frozen.items():
        assert any(torch.equal(tensor, before) for before in start.values() if before.shape == tensor.shape), name


@pytest.mark.parametrize("loss", ["task.loss=cross_entropy", "task.loss=focal+dice"])
def test_four_batches_of_four_train_as_one_of_sixteen(tmp_path, loss):
    words = ("strategy=full", loss, "optimizer=sgd", "optimizer.lr=0.1", "task.class_weights=balanced", "cache=off")
    trained(tmp_path / "one", *words, "data.batch_size=16")
    trained(tmp_path / "four", *words, "data.batch_size=4", "trainer.accumulate_grad_batches=4")
    one, four = weights(tmp_path / "one"), weights(tmp_path / "four")
    for name in one:
        torch.testing.assert_close(one[name], four[name], atol=1e-5, rtol=1e-4)
