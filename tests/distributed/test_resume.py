"""A run of two processes is killed and goes on from the command line; and one goes on with another number of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftlab.cli import main
from ftlab.training.distributed.processes import free_port
from ftlab.training.saving.checkpoints import Checkpoints
from ftlab.training.saving.loading import read_checkpoint
from tests.conftest import close_handlers
from tests.training.test_resume import assert_equal, last, without_times

SMALL = [
    "subset=40",
    "data.split=[0.9,0.05,0.05]",
    "data.image_size=32",
    "data.batch_size=16",
    "strategy=progressive",
    "strategy.groups=2",
]
SMALL += ["backbone.name=resnet10t", "backbone.pretrained=false", "trainer.accelerator=cpu", "trainer.max_epochs=6"]
SMALL += ["checkpoint.every_n_steps=1"]
# All that is drawn, and statistics of BatchNorm, which each process gathers from its own part.
DRAWN = ["augment=strong", "backbone.drop_rate=0.2", "backbone.drop_path_rate=0.2", "strategy.batchnorm=train"]
# sgd: the first steps of Adam divide by gradients that are near 0, and turn a rounding into a step.
PLAIN = ["optimizer=sgd", "optimizer.lr=0.05", "strategy.batchnorm=frozen"]
TWO, ONE = ["trainer.devices=2", "trainer.strategy=ddp"], ["trainer.devices=1", "trainer.strategy=auto"]
ALLOW = ["resume_allow=[trainer.devices,trainer.strategy]"]
TORCHRUN = ["torch.distributed.run", "--nproc-per-node=2"]


def here(*words: str) -> None:
    """To the end, in this process (and another that it starts)."""
    try:
        assert main(["train", *words]) == 0
    finally:
        close_handlers()


def begun(*words: str) -> "subprocess.Popen[str]":
    """A run in processes of its own."""
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def finished(process: "subprocess.Popen[str]") -> int:
    process.communicate(timeout=240)
    return process.returncode


def stopped(process: "subprocess.Popen[str]", how: signal.Signals, after: str) -> int:
    """The exit code of a run all of whose processes get a signal after a line that begins with `after`."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(after):
            os.killpg(process.pid, how)
            break
    return finished(process)


def reached(folder: Path) -> dict[str, Any]:
    saved = last(folder)
    return {
        "weights and buffers": saved["state_dict"],
        "optimizer": saved["optimizer_states"],
        "history": without_times(saved["ftlab"]["history"]),
    }


# --- two processes, killed


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of two processes: `whole`, and `killed`, which did not survive its third epoch."""
    folder = tmp_path_factory.mktemp("two")
    words = ["ftlab", "train", *SMALL, *DRAWN, *TWO]
    whole = begun(*words, f"hydra.run.dir={folder / 'whole'}")
    killed = begun(*words, f"hydra.run.dir={folder / 'killed'}")
    assert stopped(killed, signal.SIGKILL, "epoch   2") == -signal.SIGKILL
    assert finished(whole) == 0
    return folder


def test_two_processes_that_were_killed_go_on_and_end_bit_identical(killed):
    """SIGKILL, later SIGTERM, each in a phase that has thawed: the wrap must know it before the first step.

    The last part is by processes that torchrun starts.
    """
    run = killed / "killed"
    assert stopped(begun("ftlab", "train", f"resume={run}"), signal.SIGTERM, "epoch ") == 130
    assert finished(begun(*TORCHRUN, f"--master-port={free_port()}", "-m", "ftlab", "train", f"resume={run}")) == 0
    assert_equal(reached(killed / "whole"), reached(run))
    report = json.loads((run / "report.json").read_text())
    assert [at["processes"] for at in report["resumed"]] == [2, 2]
    assert sorted(at["epoch"] for at in report["resumed"])[0] >= 2
    assert len({record["phase"] for record in report["history"]}) == 3


# --- one process, two, one


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs: `one` of a process; `two`, which left it for two processes in the middle of its third
    epoch; `back`, which left that one for one process in the middle of its fifth."""
    folder = tmp_path_factory.mktemp("changed")
    with pytest.MonkeyPatch.context() as patch:
        keep_folders_within_epochs(patch)
        here(*SMALL, *PLAIN, *ONE, f"hydra.run.dir={folder / 'one'}")
        shutil.move(folder / "one-within-2", folder / "two")
        here(f"resume={folder / 'two'}", *TWO, *ALLOW)
        shutil.move(folder / "two-within-4", folder / "back")
    here(f"resume={folder / 'back'}", *ONE, *ALLOW)
    return folder


def keep_folders_within_epochs(patch: pytest.MonkeyPatch) -> None:
    """Copies of a run's folder as a kill in the middle of an epoch would leave it: RUN-within-EPOCH."""
    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        run = self.folder.parent
        if epoch is None:
            kept = run.with_name(f"{run.name}-within-{trainer.current_epoch}")
            shutil.copytree(run, kept, dirs_exist_ok=True)

    patch.setattr(Checkpoints, "_save", save_and_keep)


def apart(a: Path, b: Path) -> float:
    one, other = last(a)["state_dict"], last(b)["state_dict"]
    return max((one[k].float() - other[k].float()).abs().max().item() for k in one)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["two", "back"])
def test_a_run_that_changes_its_number_of_processes_sees_the_same_batches(changed, run):
    assert apart(changed / "one", changed / run) < 1e-5
    start = read_checkpoint(changed / "one-within-0" / "checkpoints" / "last.ckpt")["state_dict"]
    end = last(changed / "one")["state_dict"]
    assert max((start[k] - end[k]).abs().max().item() for k in start) > 0.01  # it has learnt something


def test_a_change_of_processes_is_told_with_its_exceptions(changed):
    report = json.loads((changed / "back" / "report.json").read_text())
    assert [(at["processes_before"], at["processes"]) for at in report["resumed"]] == [(1, 2), (2, 1)]
    told = [text for text in report["warnings"] if "processes" in text]
    assert "with 2 instead of 1 processes" in told[0]
    assert "with 1 instead of 2 processes" in told[1]
    for exception in ("dropout", "drop path", "mixup", "BatchNorm"):
        assert exception in told[0]
