"""Two runs of same_bits.py that the command line alone cannot make: python same_bits_scripts.py own|killed WORD ...

They run in the environment of one of its sides, in the run's folder.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

import ftlab

DATA = Path("../../data")
KILLED_AT = 6  # times that last.ckpt is made; the sixth is in the middle of the second epoch


def own(*words: str) -> None:
    """Own data and an own network, which only Python can give: trained, used for lines, evaluated."""
    config, data, backbone = ftlab.compose(list(words)), own_data(), own_backbone()
    ftlab.train(config, "run", data=data, backbone=backbone)
    lines = ftlab.load("run/bundle", backbone=backbone).predict(sorted((DATA / "few").iterdir()))
    Path("lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    evaluation = ftlab.compose(["bundle=run/bundle", "output=figures.json"], mode="evaluate")
    ftlab.evaluate(evaluation, data=data, backbone=backbone)


def own_data() -> Any:
    rows = [line.split(",") for line in (DATA / "labels.csv").read_text().splitlines()[1:]]
    items = [(Image.open(DATA / path).copy(), int(float(angle) > 30)) for path, _, angle, _ in rows]
    return ftlab.from_datasets(items[:48], items[48:60], items[60:], classes=["flat", "steep"])


def own_backbone() -> Any:
    torch.manual_seed(0)
    early = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
    late = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    seen = ftlab.Preprocessing(size=(24, 24), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    stages = {"early": ["0"], "late": ["1"]}
    return ftlab.ModuleBackbone(nn.Sequential(early, late), stages, num_features=16, preprocessing=seen)


def killed(*words: str) -> None:
    """`ftlab train` up to a SIGKILL at a place that no clock chooses: a checkpoint of a step has just got its name."""
    from ftlab.cli import main

    replace, seen = os.replace, [0]

    def replace_and_die(source: Any, target: Any) -> None:
        replace(source, target)
        seen[0] += Path(target).name == "last.ckpt"
        if seen[0] == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_and_die  # type: ignore[assignment]
    sys.exit(main(["train", *words]))


if __name__ == "__main__":
    {"own": own, "killed": killed}[sys.argv[1]](*sys.argv[2:])
