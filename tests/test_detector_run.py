"""Runs of whole detectors: what stays frozen, what a killed run ends with, what a bundle says, what is learnt."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torchvision import models

import ftlab
from ftlab.backbones.detectors.of_torchvision import TorchvisionDetector
from ftlab.data.base import Splits
from ftlab.targets.boxes import Boxes
from tests.conftest import Command
from tests.test_detection_run import squares
from tests.training.test_resume import assert_equal, last, without_times

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"
WORDS = ("backbone=torchvision_detector", "backbone.pretrained=false", "data=own", "data.batch_size=4",
         "trainer.accelerator=cpu", "trainer.precision=32-true", "schedule.warmup=0")  # fmt: skip
SIDE = 128  # pixels, at which more anchors lie in an image than are drawn
# The networks that propose, and what looks at the proposals, train; body and pyramid do not.
BEHIND = ("strategy=partial", "strategy.last=2", "strategy.batchnorm=frozen", "trainer.max_epochs=2", "cache=memory",
          f"data.image_size={SIDE}", "checkpoint.every_n_steps=1", "optimizer.lr=0.003")  # fmt: skip


def data(train: list[int], side: int = SIDE) -> Splits:
    several = [squares(counts, seed, side) for seed, counts in enumerate((train, [1, 2, 0, 3], [2, 1]))]
    return Splits(*several, Boxes(("dark", "light")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run, with a copy of its folder as it was in the middle of each epoch."""
    from ftlab.training.saving.checkpoints import Checkpoints

    folder = tmp_path_factory.mktemp("detector") / "whole"
    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        if epoch is None:
            shutil.copytree(folder, folder.parent / f"within-{trainer.current_epoch}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_and_keep)
        ftlab.train(ftlab.compose([*WORDS, *BEHIND]), run_dir=folder, data=data([1, 2, 0, 3, 2, 1, 1, 2]))
    return folder


def test_what_is_frozen_is_computed_once_and_stays_as_it_is_bit_by_bit(whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    assert report["phases"][0]["cache"]["train"] == "memory"
    torch.manual_seed(0)  # the run's seed
    before = TorchvisionDetector(NAME, pretrained=False, image_size=SIDE).model.state_dict()
    after = load_file(whole / "bundle" / "model.safetensors")
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert {name for name in before if name.startswith("backbone.")} <= same
    assert same.isdisjoint(name for name in before if name.startswith(("rpn.head", "roi_heads.box_head")))


def test_a_killed_run_ends_bit_identical_though_anchors_are_drawn_by_chance(whole: Path) -> None:
    killed = whole.parent / "within-1"
    words = [*WORDS, *BEHIND, f"resume={killed}"]
    ftlab.train(ftlab.compose(words), data=data([1, 2, 0, 3, 2, 1, 1, 2]))
    one, other = last(whole), last(killed)
    assert_equal(one["state_dict"], other["state_dict"])
    assert_equal(without_times(one["ftlab"]["history"]), without_times(other["ftlab"]["history"]))


def test_a_bundle_predicts_what_torchvisions_own_network_finds_with_its_weights(whole: Path) -> None:
    images = [squares([2, 1, 0], 7, SIDE).inputs[place] for place in range(3)]
    predictor = ftlab.load(whole / "bundle")
    records = predictor.predict(images, score=0.05)
    own = models.get_model(NAME, weights=None, weights_backbone=None, num_classes=3, min_size=SIDE, max_size=SIDE)
    own.load_state_dict(load_file(whole / "bundle" / "model.safetensors"))
    with torch.no_grad():
        theirs = own.eval()([image / 255 for image in images])
    assert sum(len(one["boxes"]) for one in theirs) > 5
    for record, one in zip(records, theirs, strict=True):
        assert [found["class"] for found in record["boxes"]] == [("dark", "light")[n - 1] for n in one["labels"]]
        scores, boxes = ([found[key] for found in record["boxes"]] for key in ("score", "box"))
        assert scores == pytest.approx(one["scores"].tolist(), abs=1e-4)
        assert torch.tensor(boxes).numpy() == pytest.approx(one["boxes"].numpy(), abs=0.02)


def test_a_whole_detector_brings_its_head_its_task_and_something_to_detect(command: Command) -> None:
    ended = command(
        "plan", "backbone=torchvision_detector", f"backbone.name={NAME}", "cache=off", "data.scenes=[8,4,4]"
    )
    assert ended.code == 0, ended.err
    assert "digit_scenes" in ended.out
    assert "head/box_predictor" in ended.out
    assert "it is not known whether the outputs use" not in ended.out + ended.err


def test_two_networks_for_one_head_are_refused(command: Command) -> None:
    ended = command("plan", "backbone=torchvision_detector", "head=fcos", "cache=off", "data.scenes=[8,4,4]")
    assert ended.code == 2
    assert "detects as a whole, and has no features for another head; use head=detector" in ended.err


@pytest.mark.slow
def test_a_whole_detector_learns_from_random_weights(tmp_path: Path) -> None:
    several = squares([1, 1, 1, 1], 0, SIDE)
    words = [*WORDS, f"data.image_size={SIDE}", "backbone.norms=frozen", "strategy=full", "optimizer.lr=0.0003"]
    words += ["trainer.max_epochs=12", "schedule=constant", "trainer.gradient_clip_val=5.0", "strategy.average=false"]
    own = Splits(several, squares([1], 1, SIDE), None, Boxes(("dark", "light")))
    report = ftlab.train(ftlab.compose(words), run_dir=tmp_path / "run", data=own)
    losses = [record["train"]["loss"] for record in report["history"]]
    assert losses[-1] < losses[0] / 2
