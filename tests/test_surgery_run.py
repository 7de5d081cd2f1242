"""From classes to numbers: a run that starts from the bundle of another task, with a part of its network."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ftlab.cli import main
from ftlab.predictor import load
from tests.test_regression_run import write_rotated

Row = dict[str, Any]
FIRST = ["data=digits", "data.image_size=32", "subset=40", "strategy=head_only", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on the classes of digits, and one on angles that starts from it and ends at blocks.3."""
    folder = tmp_path_factory.mktemp("surgery")
    assert main(["train", *FIRST, "trainer.accelerator=cpu", f"hydra.run.dir={folder / 'classes'}"]) == 0
    write_rotated(folder / "photos")
    return folder


@pytest.fixture(scope="module")
def printed(place: Path) -> str:
    import contextlib
    import io

    words = [
        "train", "task=regression", "data=image_csv", f"data.root={place / 'photos'}", "data.target_columns=[angle]",
        "data.missing=drop", "data.image_size=32", "subset=32", "strategy=head_only", "trainer.max_epochs=1",
        f"backbone.weights={place / 'classes' / 'bundle'}", "backbone.until=blocks.3", "head.pool=flatten",
        "trainer.accelerator=cpu", f"hydra.run.dir={place / 'angles'}",
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0
    return out.getvalue()


def test_what_was_kept_replaced_and_dropped_is_printed_and_in_the_report(place: Path, printed: str) -> None:
    report: Row = json.loads((place / "angles" / "report.json").read_text())
    kept, replaced, dropped = report["backbone"]["surgery"]
    assert kept.startswith("kept: ")
    assert kept.endswith(f"tensors of {place / 'classes' / 'bundle'}")
    assert replaced == "replaced: the head of classification, 10 outputs, by a new one"
    assert dropped.startswith("dropped: ")
    for line in (kept, replaced, dropped):
        assert line in printed
    page = (place / "angles" / "report.html").read_text()
    assert "the head of classification, 10 outputs" in page


def test_the_frozen_part_is_the_one_of_the_first_run(place: Path, printed: str) -> None:
    before = load_file(place / "classes" / "bundle" / "model.safetensors")
    after = load_file(place / "angles" / "bundle" / "model.safetensors")
    shared = before.keys() & after.keys()
    assert len(shared) > 50
    assert all(torch.equal(before[name], after[name]) for name in shared)
    assert set(after.keys() - shared) == {"ftlab_head.fc.weight", "ftlab_head.fc.bias"}
    assert after["ftlab_head.fc.weight"].shape == (1, 80 * 2 * 2)  # blocks.3 of 32 pixels: 80 maps of 2 x 2


def test_its_bundle_predicts_numbers(place: Path, printed: str) -> None:
    records = load(place / "angles" / "bundle").predict([place / "photos" / "images" / "0.png"])
    assert set(records[0]) == {"angle"}
