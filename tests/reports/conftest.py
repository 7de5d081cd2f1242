"""A small report as a run leaves it: 3 phases, 9 stages, 3 classes."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ftlab.blocks import Sample

BACKBONE = ["stem", *(f"blocks.{place}" for place in range(7))]
STAGES = [{"address": f"backbone/{name}", "parameters": 1000 * 2**place} for place, name in enumerate(BACKBONE)]
STAGES.append({"address": "head/fc", "parameters": 3843})
PHASES = [("head", 0, 1, 8), ("blocks.5", 2, 4, 6), ("all", 5, 7, 0)]  # name, first and last epoch, first stage

# 1,437 samples of train and val, computed in the first phase for the second one too; all twice and thrice.
COMPUTED = {"train": "memory", "val": "memory", "why": "1.1 MiB in memory", "seconds_per_sample": 0.004, "found": 0}
CACHE = {
    "head": {**COMPUTED, "phase": "head", "bytes": 3 * 2**20, "seconds": 1.5, "computed": 1437, "read": 2874},
    "blocks.5": {**COMPUTED, "phase": "blocks.5", "bytes": 0, "seconds": 0.0, "computed": 0, "read": 4311},
    "all": {
        "phase": "all",
        "train": "off",
        "val": "off",
        "why": "nothing is frozen before what trains",
        "seconds_per_sample": 0.0,
        "found": 0,
        "bytes": 0,
        "seconds": 0.0,
        "computed": 0,
        "read": 0,
    },
}


def planned(name: str, epochs: int, first: int, stages: list[dict[str, Any]] = STAGES) -> dict[str, Any]:
    """A phase in which every stage from `first` on trains, the head ten times as fast."""
    settings = {
        stage["address"]: {"rate": 1e-3 if stage["address"].startswith("head") else 1e-4, "weight_decay": 0.01}
        if place >= first
        else None
        for place, stage in enumerate(stages)
    }
    return {"phase": name, "epochs": epochs, "stages": settings}


def executed(name: str, first_epoch: int, last_epoch: int, first: int) -> dict[str, Any]:
    return {
        "name": name,
        "first_epoch": first_epoch,
        "last_epoch": last_epoch,
        "trainable_stages": [stage["address"] for stage in STAGES[first:]],
        "trainable_parameters": sum(stage["parameters"] for stage in STAGES[first:]),
        "total_parameters": sum(stage["parameters"] for stage in STAGES),
        "seconds": 2.5 * (last_epoch - first_epoch + 1),
        "seconds_per_step": 0.125,
        "peak_memory_bytes": None if name == "head" else 412_000_000,
        "ended_by": "epochs",
        "cache": dict(CACHE[name]),
    }


def epoch_record(epoch: int) -> dict[str, Any]:
    name = next(name for name, first, last, _ in PHASES if first <= epoch <= last)
    val = {"loss": 0.9 * 0.7**epoch, "accuracy": 1 - 0.3 * 0.7**epoch, "f1": 1 - 0.35 * 0.7**epoch}
    return {"epoch": epoch, "phase": name, "seconds": 2.5, "train": {"loss": 0.8**epoch}, "val": val}


def thawed_rates(first_epoch: int, rate: float, ticks: list[float]) -> list[float | None]:
    return [None if tick < first_epoch else rate * (1 - tick / 9) for tick in ticks]


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    ticks = [step / 4 for step in range(33)]
    starts = {stage["address"]: 5 if place < 6 else 2 if place < 8 else 0 for place, stage in enumerate(STAGES)}
    groups = {a: thawed_rates(first, 1e-3 if a == "head/fc" else 1e-4, ticks) for a, first in starts.items()}
    return {
        "schema_version": 1,
        "task": "classification",
        "run_dir": str(tmp_path),
        "started": "2025-03-01T12:00:00+00:00",
        "command": "ftlab train data=image_folder data.root=photos",
        "backbone": {"name": "tf_efficientnet_lite0", "weights": "ImageNet", "parameters": 255_000},
        "head": "linear",
        "strategy": "progressive",
        "objective": {"name": "accuracy", "value": 0.9753, "mode": "max", "split": "val"},
        "metrics": {"val": {"loss": 0.0741, "accuracy": 0.9753}, "test": {"loss": 0.0812, "accuracy": 0.9668}},
        "stages": STAGES,
        "plan": [planned(name, last - first + 1, stage) for name, first, last, stage in PHASES],
        "phases": [executed(*phase) for phase in PHASES],
        "history": [epoch_record(epoch) for epoch in range(8)],
        "rates": {"epoch": ticks, "groups": groups},
        "images": {"kept": 1437, "bytes": 2**22, "left_out": 0},
        "automatic": ["trainer.precision=auto: 32-true; fewer digits gain nothing without a GPU"],
        "seconds": {"setup": 1.5, "train": 20.0, "evaluate": 0.75},
        "data": {
            "name": "photos",
            "sizes": {"train": 1149, "val": 288, "test": 361},
            "classes": ["cat", "dog", "newt"],
            "warnings": ["2 files are copies of others"],
        },
        "best": {"epoch": 7, "phase": "all", "monitor": "loss", "value": 0.0741},
        "confusion": {"split": "test", "matrix": [[118, 3, 0], [4, 121, 1], [0, 4, 110]]},
        "versions": {"torch": "2.9.0", "ftlab": "0.1.0"},
        "environment": {"system": "Linux", "processor": "2 cores"},
        "config": {"strategy": {"name": "progressive", "patience": 3}, "seed": 0},
        "warnings": [],
    }


@pytest.fixture
def worst() -> list[Sample]:
    return [
        Sample(
            name=f"photos/{place}.png",
            truth="cat",
            prediction="dog",
            note=f"{0.97 - place / 50:.1%}",
            image=Image.linear_gradient("L").resize((48 * (place + 1), 48)).convert("RGB"),
        )
        for place in range(3)
    ]


@pytest.fixture
def deep_plan() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """13 stages and 14 phases: the longest plan that must be readable at 80 columns."""
    names = ["backbone/patch_embed", *(f"backbone/blocks.{place}" for place in range(11)), "head/fc"]
    stages = [{"address": name, "parameters": 444_864} for name in names]
    plan = [
        planned("head" if place == 12 else names[place].split("/")[1], 2, place, stages) for place in range(12, -1, -1)
    ]
    return stages, [*plan, planned("everything again", 3, 0, stages)]


def dump(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
