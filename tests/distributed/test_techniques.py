"""Several techniques at once over two processes: the weights of one process, up to rounding."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ftlab.backbones.image import TimmBackbone

pytest.importorskip("peft", reason="adapters are an extra")

WORDS = ["adapters=lora", "adapters.rank=2", "parameters=norm", "weight_average=ema", "anchor=l2_sp", "subset=60",
         "data.image_size=32", "strategy=full", "strategy.batchnorm=frozen", "trainer.max_epochs=2",
         "trainer.accelerator=cpu", "trainer.precision=32-true", "backbone.drop_rate=0", "cache=off",
         # The first steps of Adam divide by gradients that are near 0, and turn a rounding into a step.
         "optimizer=sgd", "optimizer.lr=0.02"]  # fmt: skip


def bundled(folder: Path, devices: int) -> dict[str, torch.Tensor]:
    """In a process of its own, whose children train beside it."""
    command = [sys.executable, "-m", "ftlab", "train", *WORDS, f"trainer.devices={devices}", f"hydra.run.dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(folder / "bundle" / "model.safetensors")


@pytest.mark.slow
def test_two_processes_come_to_the_weights_of_one(tmp_path: Path) -> None:
    one, two = bundled(tmp_path / "one", 1), bundled(tmp_path / "two", 2)
    assert one.keys() == two.keys()
    pretrained = TimmBackbone().model.state_dict()
    moved = [name for name, weight in pretrained.items() if not torch.equal(one[name], weight)]
    assert len(moved) > 50
    for name in moved:
        way, apart = (one[name] - pretrained[name]).norm(), (two[name] - one[name]).norm()
        assert apart < 0.02 * way, name
