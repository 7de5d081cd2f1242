"""Mixed precision and kept values: what is kept is not rounded, and is kept for every network."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from ftlab.batch import Batch
from ftlab.cache.borders import Borders, at_border
from ftlab.cache.probe import probe
from ftlab.model import Model
from ftlab.strategies.base import Phase
from ftlab.training.precision import unrounded
from tests.backbones.test_families import batch_of
from tests.cache.test_borders import FAMILIES, model_of
from tests.conftest import Command

MORE = [
    ("convnext_atto", 32),
    ("regnety_002", 32),
    ("mobilenetv2_050", 64),
    ("ghostnetv2_100", 64),
    ("mixer_s32_224", 64),
]
BF16 = MixedPrecision("bf16-mixed", "cpu")


def outputs(model: Model, batch: Batch, border: object = None) -> Tensor:
    rest, model.rest = model.rest, border or model.rest
    try:
        with torch.no_grad():
            return model(batch).float()
    finally:
        model.rest = rest


@pytest.mark.parametrize(("name", "size"), [*FAMILIES, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE)])
def test_a_step_in_bfloat16_on_kept_values_is_nearer_to_the_network_than_one_on_images(name: str, size: int) -> None:
    model, batch = model_of(name, size), batch_of(size)
    true = outputs(model, batch)
    phases = [Phase("head", 2, {"head/fc": 1.0}, None, 0.0, "best", "frozen")]
    with unrounded(BF16):
        found, borders = probe(model, phases, batch, 0.0, "float32", True)
    assert found.needs[0].why_not is None
    assert isinstance(borders, Borders)
    border = borders.of(["head/fc"])
    assert border is not None
    with unrounded(BF16):
        values = borders.values(border.names)(batch)
    with BF16.forward_context():
        on_images, on_kept = outputs(model, batch), outputs(model, at_border(batch, values), border.rest)
    assert (on_kept - true).abs().max() <= (on_images - true).abs().max()


@pytest.mark.slow  # bfloat16 is slow on most CPUs
def test_the_default_network_keeps_values_in_mixed_precision_and_those_of_full_precision(
    command: Command, tmp_path: Path
) -> None:
    words = ["train", "subset=16", "data.image_size=32", "strategy=head_only", "trainer.max_epochs=2", "cache=disk"]
    told = []
    for precision in ("32-true", "bf16-mixed"):
        ended = command(
            *words, f"trainer.precision={precision}", "trainer.accelerator=cpu", f"hydra.run.dir={precision}"
        )
        assert ended.code == 0, ended.err
        (phase,) = json.loads((tmp_path / precision / "report.json").read_text())["phases"]
        told.append(phase["cache"])
    assert (told[0]["found"], told[1]["found"]) == (0, 2)  # the values of train and val
    assert told[0]["computed"] > 0 == told[1]["computed"]
