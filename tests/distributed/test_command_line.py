"""`ftlab train trainer.devices=2`: the other process starts from config.yaml, and ends with the run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ftlab.training.distributed.processes import free_port
from ftlab.training.saving.loading import read_checkpoint

SMALL = ["subset=64", "data.split=[0.9,0.05,0.05]", "data.image_size=32", "data.batch_size=16", "strategy.groups=1"]
SMALL += ["backbone.name=resnet10t", "backbone.pretrained=false", "trainer.accelerator=cpu", "trainer.max_epochs=2"]
# sgd: the first steps of Adam divide by gradients that are near 0, and turn a rounding into a step.
SMALL += ["optimizer=sgd", "optimizer.lr=0.01"]
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]


def ftlab(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ftlab", "train", *SMALL, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


def weights(run: Path) -> dict[str, Any]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes."""
    folder = tmp_path_factory.mktemp("two")
    done = ftlab(*TWO, "seed=0", "hydra.run.dir=run", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multirun of two jobs, each of two processes."""
    folder = tmp_path_factory.mktemp("sweep")
    done = ftlab("-m", "seed=0,1", *TWO, "hydra.sweep.dir=sweep", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "sweep"


@pytest.mark.slow
def test_a_multirun_with_two_processes_a_job_runs_each_job_once(sweep):
    assert sorted(p.name for p in sweep.iterdir() if p.is_dir()) == ["0", "1"]
    for job in ("0", "1"):
        assert (sweep / job / "report.json").is_file()
        assert "Traceback" not in (sweep / job / "process-1.log").read_text()
        assert (sweep / job / "ftlab.log").read_text().count("\nepoch   1 ") == 1  # the first process writes


def test_two_processes_of_the_command_line_equal_one(two, command, tmp_path):
    assert command("train", *SMALL, "seed=0", "hydra.run.dir=one").code == 0
    one, both = weights(tmp_path / "one"), weights(two)
    assert max((one[k].float() - both[k].float()).abs().max().item() for k in one) < 1e-5


def test_a_process_that_dies_ends_the_run_and_is_named(tmp_path):
    """A batch of 1 is too small for 2 processes: the sampler of each refuses."""
    done = ftlab("trainer.devices=2", "data.batch_size=1", "trainer.strategy=ddp", "hydra.run.dir=x", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "give at least" in done.stderr or "process" in done.stderr


@pytest.mark.slow
def test_processes_that_torchrun_starts_are_one_run(two, tmp_path):
    words = ["train", *SMALL, *TWO, "seed=0", "hydra.run.dir=run"]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    command = [*start, "-m", "ftlab", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nepoch   1 ") == 1  # one of them speaks
    log = (tmp_path / "run" / "ftlab.log").read_text()
    assert (log.count("\nepoch   1 "), log.count("  ftlab train ")) == (1, 1)  # and the same one writes
    one, other = weights(two), weights(tmp_path / "run")
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_processes_from_outside_need_one_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ftlab", "train", *SMALL, *TWO],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"},
    )
    assert done.returncode == 2
    assert "hydra.run.dir=DIR" in done.stderr
