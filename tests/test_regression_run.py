"""Regression from the command line: rotated digits, whose angle the default network learns by full fine-tuning."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sk
from sklearn.datasets import load_digits

import ftlab
from ftlab.cli import main
from ftlab.errors import UserError
from ftlab.predictor import load
from tests.conftest import Command

IMAGES, SIZE = 280, 48
Row = dict[str, Any]


def write_rotated(root: Path) -> None:
    """Digits turned by -60 to 60 degrees, one in ten by none; `lean` is the angle in other units, far from zero."""
    (root / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = ["path,angle,lean"]
    for number, place in enumerate(generator.permutation(1797)[:IMAGES]):
        angle = generator.uniform(-60, 60) if number % 10 else 0.0
        pixels = np.round(load_digits().images[place] * (255 / 16)).astype(np.uint8)
        image = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        image.rotate(angle, Image.Resampling.BICUBIC).save(root / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,{angle:.3f},{500 + angle / 1000:.5f}")
    (root / "labels.csv").write_text("\n".join([*rows, "images/0.png,,\n"]))


def settings(root: Path) -> list[str]:
    return [
        "task=regression", "data=image_csv", f"data.root={root}", "data.target_columns=[angle,lean]",
        "data.missing=drop", f"data.image_size={SIZE}", "data.crop_pct=1.0", "data.batch_size=16",
        "trainer.accelerator=cpu",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images and a run of six epochs on them."""
    folder = tmp_path_factory.mktemp("regression")
    write_rotated(folder / "photos")
    more = ["strategy=lp_ft", "strategy.groups=1", "strategy.rate=1", "schedule.warmup=1", "trainer.max_epochs=6"]
    assert main(["train", *settings(folder / "photos"), *more, f"hydra.run.dir={folder / 'run'}"]) == 0
    return folder


@pytest.fixture(scope="module")
def report(place: Path) -> Row:
    return json.loads((place / "run" / "report.json").read_text())


def truths(place: Path) -> dict[str, dict[str, float]]:
    with open(place / "photos" / "labels.csv", newline="") as stream:
        return {
            row["path"]: {k: float(row[k]) for k in ("angle", "lean")} for row in csv.DictReader(stream) if row["lean"]
        }


def test_the_angle_is_learned_far_better_than_its_mean_and_than_frozen_features_tell(report: Row) -> None:
    assert report["objective"]["name"] == "r2"
    assert report["history"][0]["convex"]["converged"] is True
    assert report["history"][0]["val"]["r2"] < 0.5  # ridge on the features of the frozen network
    for target in ("angle", "lean"):  # the mean predictor has 0
        assert report["metrics"]["test"][f"r2/{target}"] > 0.85
    assert report["metrics"]["test"]["mae/angle"] < 15  # degrees; the mean predictor has about 30
    assert report["metrics"]["test"]["mae/lean"] < 0.015
    assert report["data"]["targets"] == ["angle", "lean"]
    assert report["data"]["classes"] == []


def test_what_is_undefined_or_left_out_is_told(report: Row) -> None:
    assert report["metrics"]["test"]["mape"] is report["metrics"]["test"]["mape/angle"] is None
    assert 0 < report["metrics"]["test"]["mape/lean"] < 1e-4
    assert any(text.startswith("test: mape of 'angle' is undefined: ") for text in report["warnings"])
    assert not any("not finite" in text for text in report["warnings"])
    assert f"1 of {IMAGES + 1} rows are left out, since a target is missing: angle in 1, lean in 1" in str(
        report["data"]
    )


def test_the_page_draws_each_target(place: Path, report: Row) -> None:
    page = (place / "run" / "report.html").read_text()
    assert page.count('aria-label="Predicted against true') == 2 * 2  # for a wide screen and a telephone
    assert "The largest errors" in page
    for target in report["residuals"]["targets"]:
        truth = np.array([point[0] for point in target["points"]])
        predicted = np.array([point[1] for point in target["points"]])
        expected = report["metrics"]["test"][f"r2/{target['target']}"]
        assert sk.r2_score(truth, predicted) == pytest.approx(expected, abs=0.01)


def test_the_bundle_predicts_in_the_units_of_the_data(place: Path, report: Row, command: Command) -> None:
    bundle = place / "run" / "bundle"
    described = json.loads((bundle / "bundle.json").read_text())["targets"]
    assert described["names"] == ["angle", "lean"]
    assert 25 < described["stds"][0] < 45
    ended = command("predict", f"bundle={bundle}", f"input={place / 'photos' / 'images'}", "accelerator=cpu")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert len(lines) == IMAGES
    assert lines[0].keys() == {"file", "angle", "lean"}
    known = truths(place)
    truth = [known[f"images/{Path(line['file']).name}"]["angle"] for line in lines]
    assert sk.r2_score(truth, [line["angle"] for line in lines]) > 0.85
    first = load(bundle, accelerator="cpu").predict(lines[0]["file"])
    assert first == [{key: pytest.approx(lines[0][key], rel=1e-4, abs=1e-3) for key in ("angle", "lean")}]


def test_evaluating_the_bundle_gives_the_runs_own_metrics(place: Path, report: Row, command: Command) -> None:
    ended = command("evaluate", f"bundle={place / 'run' / 'bundle'}", "accelerator=cpu", "output=found.json")
    assert ended.code == 0, ended.err
    found = json.loads(Path("found.json").read_text())["metrics"]
    for name, value in report["metrics"]["test"].items():
        assert found[name] == (value if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)), name
    ended = command("evaluate", f"bundle={place / 'run' / 'bundle'}", "data=digits", "accelerator=cpu")
    assert ended.code == 2
    assert "its targets are classes, the bundle predicts numbers" in ended.err


def test_a_scale_that_is_spoiled_is_an_error_of_the_bundle(place: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(place / "run" / "bundle", tmp_path / "bundle"))
    whole = json.loads((bundle / "bundle.json").read_text())
    for spoiled in ({"stds": [1.0, 0.0]}, {"means": [1.0]}, {"stds": ["a", 1.0]}, {"means": None}):
        changed = {**whole, "targets": {**whole["targets"], **spoiled}}
        (bundle / "bundle.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=r"bundle.json: not a bundle's description"):
            load(bundle)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=classification"], "task=classification: needs classes as targets, and data=image_csv has numbers"),
        (
            ["data.target_columns=null", "data.label_column=path", "data.split=[1,0,0]"],
            "task=regression: needs numbers as targets",
        ),
        (["data.target_columns=[path]"], "labels.csv, row 2, column path: 'images/0.png' is no number"),
        (["data.target_columns=[agnle]"], "did you mean 'angle'"),
        (["data.missing=error"], f"labels.csv, row {IMAGES + 2}, column angle: the target is missing"),
        (["data.target_columns=[]"], "data.target_columns=[]: expected a list of columns or null"),
        (["data.missing=skip"], "data.missing=skip: no such value; "),
    ],
)
def test_what_does_not_fit_ends_with_exit_code_2_and_says_why(
    place: Path, command: Command, words: list[str], message: str
) -> None:
    ended = command("plan", *settings(place / "photos"), *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_network_that_predicts_its_own_variance_says_how_sure_it_is(place: Path, tmp_path: Path) -> None:
    small = ["backbone.name=resnet10t", "backbone.pretrained=false", "subset=40", "strategy=head_only"]
    words = [*settings(place / "photos"), *small, "data.target_columns=[angle]", "task.loss=gaussian_nll"]
    words += ["augment=standard", "augment.mixup=0.4", "trainer.max_epochs=1"]
    report = ftlab.train(ftlab.compose(words), tmp_path / "run")
    assert np.isfinite(report["metrics"]["test"]["r2"])
    (record,) = load(tmp_path / "run" / "bundle", accelerator="cpu").predict(place / "photos" / "images" / "0.png")
    assert record.keys() == {"angle", "std"}
    assert 5 < record["std"]["angle"] < 200  # degrees: near the spread of the targets before anything is learned
    network = load(tmp_path / "run" / "bundle", accelerator="cpu").to_timm()
    assert network(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 2)
