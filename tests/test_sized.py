"""Epochs by the size of the data: as many as make the steps that are wanted, told, kept, and not chosen again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

import ftlab
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages, ImageFiles
from ftlab.inputs.views import Selected
from ftlab.resume import as_begun, differing, value_of
from ftlab.sized import epochs, image_size, label_smoothing
from ftlab.targets.classes import Classes
from tests.conftest import Command

ROWS = [f"{number},{number % 7},{number % 2}" for number in range(60)]
TABLE = ["data=table", "data.file=rows.csv", "data.label_column=kind", "strategy=full", "trainer.accelerator=cpu",
         "backbone.width=4", "data.batch_size=8"]  # fmt: skip
SPEC = DataSpec("made here", Classes(("a", "b")), {"train": 95})
AUTO = ["trainer.max_epochs=auto", "trainer.auto_epochs.steps=17", "trainer.auto_epochs.least=2"]


def settings(steps: int, least: int = 1, most: int = 1000, batch: int | str = 10, windows: int = 1) -> dict[str, Any]:
    rule = {"steps": steps, "least": least, "most": most}
    return {"trainer": {"auto_epochs": rule, "accumulate_grad_batches": windows}, "data": {"batch_size": batch}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (settings(100), 10),  # 95 samples are ten steps of 10
        (settings(101), 11),
        (settings(100, windows=3), 25),  # four windows of at most three batches
        (settings(100, least=30), 30),
        (settings(100, most=4), 4),
        (settings(90, batch="auto"), 30),  # three steps of 32
    ],
)
def test_epochs_are_as_many_as_make_the_steps(given: dict[str, Any], expected: int) -> None:
    assert epochs(given, SPEC)[0] == expected


def test_limits_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="least=5 is above most=4"):
        epochs(settings(100, least=5, most=4), SPEC)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("\n".join(["place,size,kind", *ROWS, ""]))


def test_the_number_is_told_kept_and_not_chosen_again(rows: None, command: Command) -> None:
    ended = command("train", *TABLE, *AUTO, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    report = json.loads(Path("run/report.json").read_text())
    train = report["data"]["sizes"]["train"]
    steps = -(-train // 8)
    taken = -(-17 // steps)
    assert len(report["history"]) == taken
    told = f"trainer.max_epochs=auto: {taken}; 17 steps at {steps} an epoch are {taken}"
    assert report["automatic"][0] == told
    assert ended.out.count(told) == 1
    assert OmegaConf.load("run/config.yaml").trainer.max_epochs == taken
    more = ["trainer.max_epochs=6", "resume_allow=[trainer.max_epochs]"]
    assert command("train", "resume=run", *more).code == 0  # with all that was typed before, auto_epochs too
    assert len(json.loads(Path("run/report.json").read_text())["history"]) == 6


def test_the_plan_tells_the_number_and_not_where_phases_have_their_own(rows: None, command: Command) -> None:
    assert "trainer.max_epochs=auto: 3;" in command("plan", *TABLE, *AUTO, "cache=off").out
    own = "strategy.inline=[{name: all, epochs: 2, stages: {rest: 1}}]"
    ended = command("plan", *TABLE[:3], "data.batch_size=8", *AUTO[:1], "strategy=phases", own)
    assert ended.code == 2
    assert "epochs of their own, 2 in all; leave it out" in ended.err
    assert "max_epochs" not in command("plan", *TABLE, *AUTO, "strategy=closed_form", "cache=off").out


def test_a_rule_that_nothing_reads_is_refused(rows: None, command: Command) -> None:
    ended = command("plan", *TABLE, "trainer.max_epochs=3", "trainer.auto_epochs.steps=40")
    assert ended.code == 2
    assert (
        "trainer.auto_epochs.steps=40: is read with trainer.max_epochs=auto only, and that is 3"
        in ended.err.replace("\n", " ")
    )


def test_a_run_of_before_keeps_its_epochs_and_lacks_the_rule(tmp_path: Path) -> None:
    now = ftlab.compose(["trainer.max_epochs=auto"])
    before = OmegaConf.to_container(now)
    before["trainer"] = {**before["trainer"], "max_epochs": 30}
    del before["trainer"]["auto_epochs"]
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(before))
    plain = OmegaConf.to_container(now)
    assert differing(tmp_path, plain) == {}
    assert value_of(as_begun(before, plain), "trainer.max_epochs") == 30


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], 0.1),
        (["strategy=scratch"], 0.0),
        (["backbone.pretrained=false"], 0.0),
        (["task.loss=focal"], 0.0),
        (["head=sklearn", "strategy=closed_form"], 0.0),
        (["data=table", "data.file=rows.csv", "data.label_column=kind"], 0.0),
        (["data=table", "data.file=rows.csv", "data.label_column=kind", "backbone.weights=runs/a/bundle"], 0.1),
    ],
)
def test_labels_are_smoothed_on_a_pretrained_network_where_the_loss_takes_it(words: list[str], expected: float) -> None:
    config = OmegaConf.to_container(ftlab.compose(words), resolve=True)
    assert label_smoothing(config, SPEC)[0] == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ([(90, 100), (130, 60), (500, 20)], 128),  # 130 in the middle
        ([(10, 12)], 32),
        ([(3000, 2000)] * 2, 640),
        ([(175, 4)], 160),  # nearer to it than to 192
        ([(177, 4)], 192),
    ],
)
def test_the_size_of_images_is_that_of_their_longer_sides(tmp_path: Path, sides, expected: int) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(sides))]
    for path, size in zip(paths, sides, strict=True):
        Image.new("L", size).save(path)
    found, why = image_size(ImageFiles(paths))
    assert found == expected
    middle = sorted(map(max, sides))[len(sides) // 2]
    assert f"has {middle:,} pixels in the median" in why
    assert ("640 at most" in why) == (middle > 656)


def test_the_size_of_images_is_told_of_those_whose_size_is_known() -> None:
    assert image_size(Selected(ArrayImages(np.zeros((3, 70, 20), np.uint8)), [2]))[0] == 64
    with pytest.raises(UserError, match=r"data.image_size=auto: the sizes of these images are not known"):
        image_size([object()])


def test_the_plan_tells_the_size_of_images_and_takes_it(tmp_path: Path, command: Command) -> None:
    for number in range(12):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (70, 40 + number), (number, 0, 0)).save(path)
    words = ["data=image_folder", f"data.root={tmp_path}", "data.image_size=auto", "data.resize=letterbox"]
    said = command("plan", *words, "backbone.name=resnet10t", "backbone.pretrained=false", "cache=off").out
    assert "data.image_size=auto: 64; the longer side of an image of train has 70 pixels in the median" in said
    assert "images of 64 x 64 pixels (letterbox)" in said
