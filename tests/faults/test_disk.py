"""Full and read-only disks, a folder in use, data that goes away: one clear message, and no checkpoint is lost."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import ftlab
from ftlab import disk
from ftlab.cli import main
from ftlab.disk import LOCK, clear_errors, locked, writable
from ftlab.errors import UserError
from ftlab.pickles import save
from ftlab.run import train
from ftlab.training.saving.files import LAST
from ftlab.training.saving.loading import read_checkpoint
from tests.conftest import ROOT
from tests.data.pictures import write_classes
from tests.training.tiny import splits, tiny_backbone

TINY = ["data=own", "data.image_size=8", "trainer.accelerator=cpu", "strategy=full", "data.batch_size=8"]
SMALL = ["data.image_size=32", "strategy=full", "backbone.name=resnet10t", "backbone.pretrained=false"]
SMALL += ["trainer.accelerator=cpu", "data.batch_size=8", "trainer.max_epochs=200"]


def epochs_of(folder: Path) -> int:
    """Finished epochs in the last checkpoint, which must load whole and be finite."""
    saved = read_checkpoint(folder / "checkpoints" / LAST)
    assert all(torch.isfinite(value).all() for value in saved["state_dict"].values())
    return len(saved["ftlab"]["history"])


# A full disk


def fills_after(monkeypatch: pytest.MonkeyPatch, folder: Path, epoch: int) -> None:
    """The disk is full from the end of `epoch` on: what writes checkpoints has written half of the file by then."""
    from ftlab.training.saving.checkpoints import Checkpoints

    save = Checkpoints.on_train_epoch_end

    def full(self: Checkpoints, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch > epoch:
            partial = folder / "checkpoints" / "last.ckpt.partial"
            partial.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(partial))
        save(self, trainer, pl_module)

    monkeypatch.setattr(Checkpoints, "on_train_epoch_end", full)


def test_a_disk_that_fills_while_saving_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        fills_after(patch, folder, epoch=1)
        with pytest.raises(UserError) as caught:
            train(ftlab.compose([*TINY, "trainer.max_epochs=3"]), folder, splits(), tiny_backbone())
    text = str(caught.value)
    assert all(word in text for word in ("disk is full", "last.ckpt.partial", "MB are free", f"resume={folder}"))
    assert epochs_of(folder) == 2
    assert not list((folder / "checkpoints").glob("*.partial"))  # it took the room that was left
    config = ftlab.compose([*TINY, "trainer.max_epochs=3", f"resume={folder}"])
    report = train(config, data=splits(), backbone=tiny_backbone())  # there is room again
    assert len(report["history"]) == 3


def test_a_real_full_disk_ends_the_run_with_one_message(mounted, tmp_path):
    folder = mounted("size=3m") / "run"  # room for some checkpoints of the tiny network, not for all files

    class Fill:
        """Another program that takes the room that is left."""

        def __init__(self) -> None:
            self.file = folder.parent / "other"

        def __call__(self) -> None:
            with open(self.file, "wb") as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                        file.flush()
                except OSError:
                    return

    fill = Fill()
    from ftlab.training.finetuner import FineTuner

    end = FineTuner.on_train_epoch_end

    def then_fill(self: FineTuner) -> None:
        end(self)
        if self.current_epoch == 1:
            fill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FineTuner, "on_train_epoch_end", then_fill)
        with pytest.raises(UserError, match="disk is full"):
            train(ftlab.compose([*TINY, "trainer.max_epochs=6"]), folder, splits(), tiny_backbone())
    fill.file.unlink()
    assert epochs_of(folder) == 1


def test_a_full_disk_for_predictions_is_one_message(mounted, tmp_path, capsys):
    run = tmp_path / "run"
    few = ["subset=24", "data.split=[0.9,0.05,0.05]", "trainer.max_epochs=1"]
    assert main(["train", *SMALL, *few, f"hydra.run.dir={run}"]) == 0
    photos = write_classes(tmp_path / "photos", cat=60)
    small = mounted("size=8k")
    (small / "taken").write_bytes(b"x" * 4096)
    capsys.readouterr()
    words = [f"bundle={run / 'bundle'}", f"input={photos / 'cat'}", f"output={small / 'lines.jsonl'}"]
    assert main(["predict", *words]) == 2
    error = capsys.readouterr().err
    assert "disk is full" in error
    assert "lines.jsonl" in error
    assert "Traceback" not in error


def test_other_errors_of_files_are_left_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), clear_errors(tmp_path, "x"):
        (tmp_path / "nowhere").read_text()


# A folder that cannot be written


@pytest.fixture
def closed(mounted: Callable[..., Path]) -> Path:
    return mounted("size=1m,ro")


def test_a_read_only_folder_is_named_before_anything_is_computed(closed, capsys):
    started = time.perf_counter()
    assert main(["train", *SMALL, f"hydra.run.dir={closed / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert f"hydra.run.dir={closed / 'run'}" in error
    assert "cannot be written" in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1
    assert time.perf_counter() - started < 10


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"run_dir=.*file"):
        writable("run_dir", tmp_path / "file" / "run")


def test_the_probe_leaves_nothing_in_the_folder(tmp_path):
    assert list(writable("x", tmp_path / "a" / "b").iterdir()) == []


# A folder in use


HOLD = "import sys, time; from pathlib import Path; from ftlab.disk import locked\nwith locked(Path(sys.argv[1])):\n"
HOLD += "    print('held', flush=True); time.sleep(60)"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    folder = tmp_path / "run"
    train(ftlab.compose([*TINY, "trainer.max_epochs=1"]), folder, splits(), tiny_backbone())
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_in_use_is_refused_with_the_number_of_the_process(holder, capsys):
    folder, process = holder
    (folder / "report.json").unlink()
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps([*TINY, "trainer.max_epochs=1"]))
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert main(["train", f"resume={folder}"]) == 2
    error = capsys.readouterr().err
    assert f"pid {process.pid}" in error
    assert str(folder) in error
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(folder):  # it was released by the death
        pass


def test_two_runs_in_one_process_do_not_share_a_folder_either(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match=f"pid {os.getpid()}"), locked(tmp_path):
        pass
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"pid {os.getpid()} on ")


def test_a_worker_that_outlives_a_killed_run_does_not_hold_its_folder(tmp_path):
    """A forked child shares the lock of its parent, and workers live some seconds longer than a killed parent."""
    script = (
        "import os, sys, time; from pathlib import Path; from ftlab.disk import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        time.sleep(30)\n        os._exit(0)\n"
        "    time.sleep(0.2); print(child, flush=True); os._exit(1)\n"
    )
    done = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    child = int(done.stdout.readline())
    done.stdout.close()
    done.wait()
    os.kill(child, 0)  # it is alive
    with locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)


def test_a_file_system_without_locks_does_not_stop_a_run(tmp_path, monkeypatch):
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(disk.fcntl, "flock", unsupported)
    with locked(tmp_path):
        pass


# Data that goes away, and processes that stay


def family(session: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
def test_data_deleted_in_the_middle_of_a_run_is_named_and_no_process_stays(tmp_path):
    photos = write_classes(tmp_path / "photos", cat=20, dog=20)
    folder = tmp_path / "run"
    words = [
        *SMALL,
        "data=image_folder",
        f"data.root={photos}",
        "data.num_workers=2",
        "cache=off",
        f"hydra.run.dir={folder}",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "ftlab", "train", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch   2"):
            break
    assert len(family(process.pid)) > 1  # the workers are there
    shutil.rmtree(photos)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert str(photos) in error
    assert ".png" in error
    assert "Traceback" not in error
    assert epochs_of(folder) >= 1
    deadline = time.monotonic() + 10
    while family(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert family(process.pid) == []


@pytest.mark.parametrize("room", [0, 100, 5_000, 20_000])
def test_a_disk_that_fills_in_the_middle_of_a_checkpoint_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """torch puts an error of its own writer in the place of the disk's."""

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(OSError, match=r"last\.ckpt") as caught:
        save({"state_dict": {"a": torch.zeros(10_000)}}, tmp_path / "last.ckpt")
    assert caught.value.errno == errno.ENOSPC
