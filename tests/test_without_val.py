"""Data without a validation split, through every strategy, task and kind of input."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ftlab
from ftlab.composition import compose
from ftlab.config import options
from ftlab.resume import as_begun
from ftlab.training.saving.loading import read_checkpoint
from tests.conftest import Command
from tests.training.tiny import BASE, parts_of, tiny_backbone

COUNT = 40
TABLE = ["data=table", "data.file=rows.csv", "data.label_column=y", "trainer.accelerator=cpu", "trainer.max_epochs=3",
         "backbone.width=8", "backbone.depth=2", "data.batch_size=16", "optimizer.lr=0.05"]  # fmt: skip
ALL_IN_TRAIN = "data.split=[1,0,0]"
SAID = "there is no val split: the last weights are kept"
TWO = "{name: a, epochs: 1, stages: {head: 1.0, rest: frozen}}, {name: b, epochs: 2, stages: {rest: 1.0}}"


@pytest.fixture
def rows(command: Command) -> Path:
    """A file of rows in the folder of the test, whose column `part` has no val."""
    draw = random.Random(0)
    with open("rows.csv", "w", newline="") as stream:
        written = csv.writer(stream)
        written.writerow(["a", "b", "y", "part"])
        for place in range(COUNT):
            a, b = draw.gauss(0, 1), draw.gauss(0, 1)
            written.writerow([f"{a:.3f}", f"{b:.3f}", "yes" if a > b else "no", "train" if place % 4 else "test"])
    return Path("rows.csv")


def report_of(folder: str | Path) -> dict[str, Any]:
    return json.loads((Path(folder) / "report.json").read_text())


def kept_last(run: Path) -> bool:
    """Whether each tensor of the bundle is one of the last checkpoint, under the end of its name."""
    last, found = (
        read_checkpoint(run / "checkpoints/last.ckpt")["state_dict"],
        load_file(run / "bundle/model.safetensors"),
    )
    return all(
        any(other.endswith(name.split(".", 1)[-1]) and torch.equal(tensor, kept) for other, kept in last.items())
        for name, tensor in found.items()
    )


TELLING = ("lp_ft", "closed_form", "phases")  # of the others only their stages are their own
STRATEGIES = [name if name in TELLING else pytest.param(name, marks=pytest.mark.slow) for name in options("strategy")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trains_without_a_val_split_and_says_that_the_last_weights_are_kept(
    rows: Path, command: Command, strategy: str
) -> None:
    words = [f"strategy={strategy}", *([f"strategy.inline=[{TWO}]"] if strategy == "phases" else [])]
    ended = command("train", *TABLE, ALL_IN_TRAIN, *words, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert SAID in ended.out
    assert "nothing is judged, as there is neither a val nor a test split" in ended.out
    report = report_of("run")
    assert report["data"]["sizes"] == {"train": COUNT}
    assert any(text.startswith(SAID) for text in report["data"]["warnings"])
    assert (report["metrics"], report["best"]) == ({}, None)
    assert (report["objective"]["value"], report["objective"]["split"]) == (None, None)
    assert len(report["history"]) == (1 if strategy == "closed_form" else 3)
    assert kept_last(Path("run"))
    page = Path("run/report.html").read_text()
    assert "Nothing is judged: the data has neither a val nor a test split." in page
    assert "accuracy, val" not in page


def test_a_bundle_without_splits_is_evaluated_where_it_is_said_on_what(rows: Path, command: Command) -> None:
    assert command("train", *TABLE, ALL_IN_TRAIN, "hydra.run.dir=run").code == 0
    ended = command("evaluate", "bundle=run/bundle")
    assert ended.code == 2
    assert f"split=test: the data have no such split; accepted: train ({COUNT} samples), or all" in ended.err
    predictor = ftlab.load("run/bundle", accelerator="cpu")
    with open("rows.csv", newline="") as stream:
        cells = list(csv.DictReader(stream))
    told = predictor.predict([{"a": float(row["a"]), "b": float(row["b"]), "part": row["part"]} for row in cells])
    right = sum(one["class"] == row["y"] for one, row in zip(told, cells, strict=True))
    for split in ("train", "all"):
        ended = command("evaluate", "bundle=run/bundle", f"split={split}", f"output={split}.json")
        assert ended.code == 0, ended.err
        found = json.loads(Path(f"{split}.json").read_text())
        assert found["metrics"]["accuracy"] == pytest.approx(right / COUNT)
        assert f"{COUNT} of the {COUNT} samples are in the train split of bundle=run/bundle too" in ended.out


def test_a_column_without_val_gives_its_own_only_where_data_split_says_no_other(rows: Path, command: Command) -> None:
    column = "data.split_column=part"
    assert command("train", *TABLE, column, ALL_IN_TRAIN, "hydra.run.dir=run").code == 0
    report = report_of("run")
    assert report["data"]["sizes"] == {"train": COUNT * 3 // 4, "test": COUNT // 4}
    assert report["objective"]["split"] == "test"
    assert report["objective"]["value"] == report["metrics"]["test"]["accuracy"]
    assert kept_last(Path("run"))
    page = Path("run/report.html").read_text()
    assert page.count("accuracy, test</dt>") == 1
    assert "accuracy, val" not in page
    ended = command("evaluate", "bundle=run/bundle", "output=found.json")
    assert ended.code == 0, ended.err
    assert json.loads(Path("found.json").read_text())["metrics"] == pytest.approx(report["metrics"]["test"])
    assert command("train", *TABLE, column, "hydra.run.dir=drawn").code == 0
    sizes = report_of("drawn")["data"]["sizes"]
    assert sizes["test"] == COUNT // 4
    assert sizes["val"] == pytest.approx(COUNT * 3 / 4 * 0.15 / 0.85, abs=1)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("strategy.restore_best=true", "strategy.restore_best=false"),
        ("strategy.patience=2", "strategy.patience=null"),
        ("early_stopping.patience=2", "early_stopping.patience=null"),
        ("monitor=accuracy", "monitor=accuracy: is a figure of the val split, and the data has none"),
        ("schedule=plateau", "schedule=plateau: follows the validation split, and the data has none"),
    ],
)
def test_what_was_typed_and_needs_a_val_split_is_refused(rows: Path, command: Command, word: str, told: str) -> None:
    ended = command("train", *TABLE, ALL_IN_TRAIN, word, "hydra.run.dir=run")
    assert ended.code == 2
    assert told in ended.err


@pytest.mark.parametrize("strategy", ["lp_ft", "progressive"])
def test_with_a_val_split_phases_begin_with_the_best_weights_as_before(tmp_path: Path, strategy: str) -> None:
    words = [f"strategy={strategy}", "strategy.head_init=random", "strategy.groups=2", "trainer.max_epochs=3"]
    given = {name: parts_of(*words, f"strategy.restore_best={name}")[0].phases for name in ("auto", "true", "false")}
    assert [phase.start for phase in given["auto"]] == ["current", "best", "best"]
    assert given["auto"] == given["true"] == parts_of(*words)[0].phases
    assert [phase.start for phase in given["false"]] == ["current"] * 3


def test_a_run_that_was_begun_when_the_default_was_true_goes_on() -> None:
    stored, now = ({"strategy": {"restore_best": value}} for value in (True, "auto"))
    assert as_begun(stored, now) == stored


def images(count: int, task: str) -> list[tuple[np.ndarray, Any]]:
    draw = np.random.default_rng(0)
    targets = {
        "classification": lambda place: place % 3,
        "multilabel": lambda place: [float(place % 2), float(place % 3 == 0)],
        "regression": lambda place: float(place),
    }
    return [(draw.integers(0, 255, (8, 8), dtype=np.uint8), targets[task](place)) for place in range(count)]


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_images_of_every_task_are_trained_and_measured_without_a_val_split(tmp_path: Path, task: str) -> None:
    named = {"targets": ["size"]} if task == "regression" else {}
    data = ftlab.from_datasets(images(24, task), **named)
    words = [
        *(one for one in BASE if "smoothing" not in one),
        f"task={task}",
        "trainer.max_epochs=3",
        "strategy.head_init=closed_form",
    ]
    report = ftlab.train(compose(words), tmp_path / "run", data, tiny_backbone())
    assert [phase["name"] for phase in report["phases"]] == ["head", "top", "stem"]
    assert any(text.startswith(SAID) for text in report["data"]["warnings"])
    assert (tmp_path / "run" / "report.html").is_file()
    bundle = [f"bundle={tmp_path / 'run' / 'bundle'}", "accelerator=cpu", f"output={tmp_path / 'out'}", "split=all"]
    config = compose(bundle, mode="evaluate")
    found = ftlab.evaluate(config, data=ftlab.from_datasets(images(24, task), **named), backbone=tiny_backbone())
    assert (found["split"], found["samples"]) == ("all", 24)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"report.json", "report.html"}


def test_windows_of_one_series_are_all_trained_on(command: Command) -> None:
    Path("x.csv").write_text("at,level\n" + "".join(f"{at},{at % 5}.5\n" for at in range(60)))
    words = ["task=regression", "data=sequence", "data.file=x.csv", "data.time_column=at", "data.window=6",
             "data.target_columns=[level]", "data.horizon=1", "backbone.width=8", "backbone.heads=2",
             "trainer.accelerator=cpu", "trainer.max_epochs=2", ALL_IN_TRAIN]  # fmt: skip
    ended = command("train", *words, "data.order=random", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert report_of("run")["data"]["sizes"] == {"train": 60 - 6}
    assert SAID in ended.out
    ended = command("evaluate", "bundle=run/bundle", "accelerator=cpu", "split=train", "output=out")
    assert ended.code == 0, ended.err
    assert "predicted against true" in Path("out/report.html").read_text()
