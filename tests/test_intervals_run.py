"""What a run, and an evaluation of its bundle, say of how sure their figures are."""

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command

WORDS = ["strategy=closed_form", "trainer.accelerator=cpu"]
CLASSES = ["data=table", "data.file=rows.csv", "data.label_column=kind", "data.drop=[size]"]
NUMBERS = ["data=table", "task=regression", "data.file=rows.csv", "data.target_columns=[size]", "data.drop=[kind]"]


def write(signal: float) -> None:
    """Rows of 60 places, four of each, whose class and number the cells tell as far as there is a signal."""
    draw = random.Random(0)
    with open("rows.csv", "w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["a", "b", "place", "kind", "size"])
        for number in range(240):
            kind = draw.choice(["cat", "cat", "dog"])
            a = draw.gauss(signal * (kind == "dog"), 1)
            rows.writerow(
                [f"{a:.4f}", f"{draw.gauss(0, 1):.4f}", number // 4, kind, f"{draw.gauss(signal * a, 1):.4f}"]
            )


def trained(command: Command, *words: str) -> tuple[dict[str, Any], list[str]]:
    ended = command("train", *WORDS, *words, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    return json.loads(Path("run/report.json").read_text()), ended.out.splitlines()


def test_figures_without_signal_are_told_to_be_no_better_than_trivial(command: Command) -> None:
    write(signal=0)
    report, out = trained(command, *NUMBERS)
    name = report["objective"]["name"]
    page = Path("run/report.html").read_text().replace("&#39;", "'")
    for split in ("val", "test"):
        beside = report["trivial"][split][name]
        assert beside["says"] == "always saying the mean of train"
        low, high = report["intervals"][split][name]
        figures = f"{report['metrics'][split][name]:.4f} ({low:.4f} to {high:.4f})"
        line = f"{split} {name} {figures}: {beside['verdict']} than {beside['says']} ({beside['value']:.4f})"
        assert beside["verdict"] in ("no better", "worse")
        assert line in report["warnings"]
        assert line in page
        assert f"warning: {line}" in out


def test_figures_with_a_signal_are_not_and_an_evaluation_has_the_same_intervals(command: Command) -> None:
    write(signal=3)
    report, out = trained(command, *CLASSES, "data.group_column=place")
    assert [report["trivial"][split]["accuracy"]["verdict"] for split in ("val", "test")] == ["better", "better"]
    assert not [text for text in report["warnings"] if "than always" in text]
    assert {name for split in report["metrics"].values() for name in split} > {"accuracy", "f1", "auroc"}
    groups = report["data"]["sizes"]["test"] // 4
    drawn = report["resampled"]["test"]
    assert (drawn["of"], drawn["units"]) == ("groups", groups)
    low, high = report["intervals"]["val"]["accuracy"]
    first = next(line for line in out if line.startswith("val accuracy"))
    assert re.fullmatch(rf"val accuracy [0-9.]+ \({low:.4f} to {high:.4f}; higher is better\), .*", first)
    assert max(map(len, out[out.index(first) : out.index(first) + 14])) <= 80

    ended = command("evaluate", "bundle=run/bundle", "output=measured", "accelerator=cpu")
    assert ended.code == 0, ended.err
    measured = json.loads(Path("measured/report.json").read_text())
    assert measured["metrics"] == pytest.approx(report["metrics"]["test"], abs=1e-5)
    for part in ("intervals", "resampled", "trivial"):
        assert {*measured[part]} == {"test"}
        assert measured[part]["test"].keys() == report[part]["test"].keys()
    for name, ends in measured["intervals"]["test"].items():
        assert ends == pytest.approx(report["intervals"]["test"][name], abs=1e-5)
    assert measured["trivial"]["test"]["accuracy"]["says"] == "always saying 'cat'"
    assert f"95 % intervals, by 1,000 resamples of {groups} groups" in ended.out
    assert "{:.4f} to {:.4f}".format(*measured["intervals"]["test"]["accuracy"]) in ended.out
