"""The command line goes on with a run: it repeats the overrides of its beginning and refuses others."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ftlab.cli import main
from ftlab.disk import locked
from ftlab.errors import UserError
from ftlab.resume import replayed

SMALL = ["subset=60", "data.split=[0.9,0.05,0.05]", "data.image_size=32", "strategy=full", "trainer.max_epochs=200"]
SMALL += ["backbone.name=resnet10t", "backbone.pretrained=false", "trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A run that got Ctrl-C after two epochs: its folder, exit code and standard error."""
    folder = tmp_path_factory.mktemp("interrupted") / "run, with = signs"
    command = [sys.executable, "-m", "ftlab", "train", *SMALL, f"hydra.run.dir={folder}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch   2"):
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return folder, process.returncode, errors


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(interrupted):
    folder, code, errors = interrupted
    assert code == 130
    assert f"go on with: ftlab train resume={folder}" in errors
    assert "Traceback" not in errors


def test_another_setting_is_refused_and_changes_nothing_in_the_folder(interrupted, capsys):
    folder, *_ = interrupted
    before = {p: p.read_bytes() for p in folder.rglob("*.yaml")}
    assert main(["train", f"resume={folder}", "data.batch_size=16"]) == 2
    assert "data.batch_size (32 -> 16)" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in folder.rglob("*.yaml")} == before


def test_another_process_of_a_run_is_not_kept_out_by_the_lock_of_the_first(
    interrupted, quick_run, tmp_path, monkeypatch
):
    """torchrun and srun start all processes at once; the first locks the folder and writes what was typed."""
    folder = tmp_path / "run"
    shutil.copytree(interrupted[0], folder)
    typed = folder / ".hydra" / "overrides.yaml"
    before = typed.stat().st_mtime_ns
    for name, value in {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with locked(folder):
        assert main(["train", f"resume={folder}"]) == 0
    assert len(quick_run) == 1
    assert typed.stat().st_mtime_ns == before


def test_the_run_goes_on_with_its_own_overrides_and_an_allowed_one(interrupted, capsys):
    folder, *_ = interrupted
    done = yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"]
    assert done == 200
    assert main(["train", f"resume={folder}", "trainer.max_epochs=5", "resume_allow=[trainer.max_epochs]"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    epochs = [int(line.split()[1]) for line in lines]
    assert epochs[-1] == 5
    assert epochs[0] >= 3
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 5  # the epochs before the interruption are still there
    assert (folder / "report.html").is_file()


def test_resume_auto_without_a_begun_run_starts_one():
    typed = ["resume=auto", "hydra.run.dir=nowhere", "seed=1"]
    assert replayed(typed) == (["hydra.run.dir=nowhere", "seed=1"], False)


def test_resume_auto_needs_a_folder():
    with pytest.raises(UserError, match=r"hydra\.run\.dir=RUN_DIR"):
        replayed(["resume=auto"])
