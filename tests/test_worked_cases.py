"""Three cases of regression as people meet them, each from the command line to a figure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.conftest import Command

CPU = "trainer.accelerator=cpu"


def result(run: str) -> dict[str, Any]:
    return json.loads(Path(run, "report.json").read_text())


def train(command: Command, run: str, *words: str) -> dict[str, Any]:
    ended = command("train", *words, CPU, f"hydra.run.dir={run}")
    assert ended.code == 0, ended.err
    return result(run)


def test_a_frozen_image_network_with_pooling_a_hidden_layer_and_one_linear_output(command: Command) -> None:
    generator = np.random.default_rng(0)
    Path("photos").mkdir()
    rows = ["path,radius"]
    down, right = np.mgrid[:48, :48]
    for number in range(120):
        radius, (y, x) = generator.uniform(3, 20), generator.uniform(18, 30, size=2)
        disc = (down - y) ** 2 + (right - x) ** 2 < radius**2
        Image.fromarray((40 + 160 * disc).astype(np.uint8)).save(f"photos/{number}.png")
        rows.append(f"{number}.png,{radius:.3f}")
    Path("photos/labels.csv").write_text("\n".join(rows))
    found = train(
        command, "run", "task=regression", "data=image_csv", "data.root=photos", "data.target_columns=[radius]",
        "data.image_size=48", "data.crop_pct=1.0", "head=mlp", "head.hidden=[32]", "head.pool=average",
        "strategy=head_only", "trainer.max_epochs=6", "optimizer.lr=0.003", "data.batch_size=16",
    )  # fmt: skip
    assert found["metrics"]["test"]["r2"] > 0.8  # the mean has 0
    frozen = [stage for stage in found["stages"] if stage["address"].startswith("backbone/")]
    assert len(frozen) > 5
    assert found["phases"][0]["trainable_parameters"] == 1280 * 32 + 32 + 32 + 1
    weights = load_file("run/bundle/model.safetensors")
    assert weights["ftlab_head.hidden1.0.weight"].shape == (32, 1280)
    assert weights["ftlab_head.fc.weight"].shape == (1, 32)


def test_a_dense_network_on_100_inputs_with_3_outputs_and_mean_absolute_error(command: Command) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(600, 100))
    outputs = inputs[:, :30] @ generator.normal(size=(30, 3)) + 3 * np.abs(inputs[:, 30:33]) + [0, 10, 1000]
    names = [f"x{i}" for i in range(100)] + ["a", "b", "c"]
    np.savetxt("wide.csv", np.hstack([inputs, outputs]), delimiter=",", header=",".join(names), comments="", fmt="%.6g")
    found = train(
        command, "run", "task=regression", "data=table", "data.file=wide.csv", "data.target_columns=[a,b,c]",
        "task.loss=mae", "strategy=full", "trainer.max_epochs=12", "optimizer.lr=0.003",
    )  # fmt: skip
    of_mean = np.abs(outputs - outputs.mean(0)).mean(0)
    for place, target in enumerate("abc"):
        assert found["metrics"]["test"][f"mae/{target}"] < 0.5 * of_mean[place], target
    assert load_file("run/bundle/model.safetensors")["ftlab_head.fc.weight"].shape[0] == 3


# --- a transformer

LENGTH, TOKENS = 50, 12


def write_texts(name: str, value: np.ndarray, spread: float, count: int, seed: int, few: int | None = None) -> None:
    """Sequences of 30 to 50 tokens, each with frequencies of its own; targets: their mean + spread x variance."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(TOKENS, 0.5), size=count)
    tokens = np.stack([generator.choice(TOKENS, size=LENGTH, p=one) for one in shares])
    mask = np.arange(LENGTH) < generator.integers(30, LENGTH + 1, size=count)[:, None]
    mean, squares = ((v[tokens] * mask).sum(1) / mask.sum(1) for v in (value, value**2))
    targets = mean + spread * (squares - mean**2) + generator.normal(scale=0.02, size=count)
    more = {"split": np.array(["train"] * few + ["val"] * few + ["test"] * (count - 2 * few))} if few else {}
    np.savez(name, tokens=tokens, mask=mask, targets=targets, **more)


@pytest.mark.slow
def test_a_transformer_pretrained_on_another_target_beats_one_from_scratch_on_few_sequences(command: Command) -> None:
    value = np.random.default_rng(0).normal(size=TOKENS)
    write_texts("many.npz", value, 0.0, 500, seed=1)
    write_texts("few.npz", value, 0.5, 280, seed=2, few=40)
    words = ["task=regression", "data=sequence", "task.loss=huber", "backbone.width=32", "data.batch_size=16"]
    pretrained = train(command, "pretrained", *words, "data.file=many.npz", "trainer.max_epochs=3")
    assert pretrained["metrics"]["test"]["r2"] > 0.9
    words += ["data.file=few.npz", "trainer.max_epochs=6"]
    tuned = train(command, "tuned", *words, "strategy=lp_ft", "backbone.weights=pretrained/bundle")
    scratch = train(command, "scratch", *words)
    assert tuned["metrics"]["test"]["r2"] > 0.85  # the mean has 0
    assert tuned["metrics"]["test"]["r2"] > scratch["metrics"]["test"]["r2"] + 0.2
    assert any("kept: 28 tensors" in line for line in tuned["backbone"]["surgery"])
    # The vocabulary goes with the weights: token 3 has its row of the first run.
    stored = [
        json.loads(Path(run, "bundle", "bundle.json").read_text())["preprocessing"] for run in ("pretrained", "tuned")
    ]
    assert stored[0]["vocabulary"] == stored[1]["vocabulary"]
