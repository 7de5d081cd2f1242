"""A class, or a label, that only train has: the figures are those of the others, and the run says so."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Command

COLOURS = ("red", "green", "blue")
IMAGES = {"train": 40, "val": 12, "test": 8}
R, G, B = ["red"], ["green"], ["blue"]


def write(train: list[list[str]], others: list[list[str]]) -> None:
    """Pictures whose channels are bright where they have a colour; the colours of each split in turn."""
    Path("photos").mkdir()
    generator = np.random.default_rng(0)
    with open("photos/labels.csv", "w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "split"])
        for split, number in ((split, i) for split, count in IMAGES.items() for i in range(count)):
            kinds = train if split == "train" else others
            colours = kinds[number % len(kinds)]
            pixels = generator.integers(0, 60, (32, 32, 3)).astype(np.uint8)
            for colour in colours:
                pixels[..., COLOURS.index(colour)] += 180
            Image.fromarray(pixels).save(f"photos/{split}{number}.png")
            rows.writerow([f"{split}{number}.png", ";".join(colours), split])


def trained(command: Command, *words: str) -> tuple[dict[str, Any], str]:
    ended = command(
        "train", "data=image_csv", "data.root=photos", "data.file=labels.csv", "data.image_size=32",
        "data.split_column=split", "strategy=closed_form", "trainer.accelerator=cpu", "hydra.run.dir=run", *words,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return json.loads(Path("run/report.json").read_text()), ended.out


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_figures_of_splits_that_lack_a_class_are_those_of_the_others(command: Command, task: str) -> None:
    """The class or label blue is in train only, and all that is predicted is right: all figures are 1."""
    if task == "multilabel":
        write([R, G, R + G, R + B, []], [R, G, R + G, []])
        report, out = trained(command, "task=multilabel", "data.multilabel=true")
    else:
        write([R, G, B], [R, G])
        report, out = trained(command, "task.label_smoothing=0")
    for split in ("val", "test"):
        figures = {name: value for name, value in report["metrics"][split].items() if name != "loss"}
        assert figures == dict.fromkeys(figures, pytest.approx(1.0)), split
        assert figures.keys() >= {"accuracy", "precision", "recall", "f1", "auroc"}
    assert report["objective"]["value"] == pytest.approx(1.0)
    word = "labels" if task == "multilabel" else "classes"
    for split in ("val", "test"):
        start = f"{split}: auroc and recall are means over 2 of 3 {word}: no sample of 'blue'; "
        assert [text.endswith(" (1 times)") for text in report["warnings"] if text.startswith(start)] == [True]
        assert f"warning: {start}"[:60] in " ".join(out.split())
    if task == "multilabel":
        table = {row["label"]: row for row in report["labels"]}
        assert [table["blue"][name] for name in ("precision", "recall", "f1")] == [None] * 3


def test_without_any_label_in_val_the_objective_is_null_and_no_epoch_the_best(command: Command) -> None:
    write([R, G, R + G, R + B, []], [[]])
    report, out = trained(
        command, "task=multilabel", "data.multilabel=true", "monitor=auroc", "strategy=head_only",
        "strategy.head_init=closed_form", "trainer.max_epochs=2", "data.batch_size=8",
    )  # fmt: skip
    assert report["objective"]["value"] is report["metrics"]["val"]["f1"] is None
    assert report["metrics"]["val"]["accuracy"] == 1
    assert report["best"] is None
    said = "monitor=auroc is undefined in 2 of 2 epochs, which count as no progress; the last weights are kept"
    assert said in report["warnings"]
    assert any(text.startswith("val: precision and f1 are undefined: ") for text in report["warnings"])
    assert "f1 - (higher is better)" in out
