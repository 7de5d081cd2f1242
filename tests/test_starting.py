"""How a run starts: anew where one was killed before its first checkpoint, not at all where one is finished, and
without a trace where it comes to nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import ftlab
import ftlab.cli
from ftlab import starting
from ftlab.bundle import device_of
from ftlab.disk import locked
from ftlab.errors import UserError
from ftlab.resume import is_finished
from ftlab.starting import OF_ANY_START, RUN, is_own, move_aside, never_saved, no_trace
from tests.conftest import ROOT, Command, Ended, close_handlers
from tests.test_table_run import LARGE, write_houses
from tests.training.tiny import splits, tiny_backbone

TABLE = ("train", *LARGE, "strategy=full", "trainer.max_epochs=2", "trainer.accelerator=cpu")
AGAIN = (*TABLE, "resume=auto", "hydra.run.dir=run")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with houses.csv and a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    write_houses(folder / "houses.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert ftlab.cli.main(AGAIN) == 0
    close_handlers()
    return folder


@pytest.fixture
def there(finished: Path, tmp_path: Path, command: Command) -> Command:
    """The command line in a copy of that folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return command


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def kill_before_the_first_checkpoint(run: Path) -> None:
    """What such a kill leaves at worst: all but the last checkpoint and what comes after the training."""
    for name in ("report.json", "report.html", "checkpoints/last.ckpt", "checkpoints/previous.ckpt"):
        (run / name).unlink(missing_ok=True)
    shutil.rmtree(run / "bundle")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "bundle" / "model.safetensors")


def one_line(ended: Ended) -> str:
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    return line


# Again, by the same words


def test_every_file_that_a_run_leaves_is_known_as_its_own(finished: Path) -> None:
    names = {path.name for path in (finished / "run").iterdir()}
    assert {name for name in names if not is_own(name, (*RUN, *OF_ANY_START))} == set()
    assert not is_own("notes.txt", (*RUN, *OF_ANY_START))


def test_a_run_killed_before_its_first_checkpoint_starts_anew_and_what_lay_there_is_kept(
    there: Command, finished: Path
) -> None:
    run = Path("run")
    kill_before_the_first_checkpoint(run)
    (run / "notes.txt").write_text("mine")
    before = {name for name in files(run) if name.split("/")[0] not in (".lock", "ftlab.log", "notes.txt")}
    assert "checkpoints/best.ckpt" in before
    ended = there(*AGAIN)
    assert ended.code == 0, ended.err
    told = "run: a run ended there before its first checkpoint; it is now in run/before-1"
    assert ended.out.splitlines().count(told) == 1
    assert set(files(run / "before-1")) == before
    assert (run / "notes.txt").read_text() == "mine"
    assert all(torch.equal(value, weights(finished / "run")[name]) for name, value in weights(run).items())
    kill_before_the_first_checkpoint(run)
    assert "it is now in run/before-2" in there(*AGAIN).out


def test_the_same_words_on_a_finished_run_say_so_and_change_nothing(there: Command) -> None:
    before = files(Path("run"))
    ended = there(*AGAIN)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "run: the run is finished, with these settings; nothing is left to do\n"
    assert files(Path("run")) == before


def test_a_finished_run_whose_checkpoints_were_removed_is_finished_all_the_same(there: Command) -> None:
    shutil.rmtree(Path("run", "checkpoints"))
    assert "the run is finished" in there(*AGAIN).out


def test_other_words_on_a_finished_run_are_refused_with_the_keys_that_differ(there: Command) -> None:
    before = files(Path("run"))
    line = one_line(there(*AGAIN, "optimizer.lr=0.5"))
    assert line.startswith("ftlab: resume=run: the run is finished, with other settings: optimizer.lr (0.001 -> 0.5)")
    assert files(Path("run")) == before


def test_a_finished_run_that_trained_on_and_was_killed_is_not_finished(there: Command) -> None:
    more = (*AGAIN, "trainer.max_epochs=4", "resume_allow=[trainer.max_epochs]")
    assert is_finished(Path("run"))
    assert there(*more).code == 0
    report = json.loads(Path("run", "report.json").read_text())
    assert len(report["history"]) == 4
    typed = yaml.safe_load(Path("run", ".hydra", "overrides.yaml").read_text())
    assert typed.index("trainer.max_epochs=2") < typed.index("trainer.max_epochs=4")
    assert len(typed) == len(set(typed))  # not once more at each start
    assert there(*more).out.endswith("nothing is left to do\n")
    report["config"]["trainer"]["max_epochs"] = 2  # of before it trained on: the new one is written at the very end
    Path("run", "report.json").write_text(json.dumps(report))
    assert not is_finished(Path("run"))
    assert there(*more).code == 0
    assert is_finished(Path("run"))


def test_a_run_that_works_there_is_left_alone(there: Command) -> None:
    kill_before_the_first_checkpoint(Path("run"))
    before = files(Path("run"))
    with locked(Path("run")):
        line = one_line(there(*AGAIN))
    assert f"another run is working in this folder (pid {os.getpid()}" in line
    assert files(Path("run")).keys() == before.keys()


def test_what_another_program_calls_config_yaml_is_no_run_to_be_moved(command: Command) -> None:
    Path("run").mkdir()
    Path("run", "config.yaml").write_text("trainer: mine\n")
    assert "holds a run already (config.yaml)" in one_line(command("train", "resume=auto", "hydra.run.dir=run"))
    assert list(files(Path("run"))) == ["config.yaml"]


def test_a_kill_while_files_are_moved_leaves_something_to_move(
    there: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of the renames: the folder is still known as that of a killed run, and nothing is lost."""
    run = Path("run")
    kill_before_the_first_checkpoint(run)
    number = sum(is_own(path.name, RUN) for path in run.iterdir())
    for stop in range(number):
        shutil.copytree(run, f"killed-{stop}")
        renames, rename = iter(range(number)), os.rename

        def killed(source: Path, target: Path, renames=renames, stop=stop, rename=rename) -> None:
            if next(renames) == stop:
                raise KeyboardInterrupt
            rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(starting.os, "rename", killed)
            with pytest.raises(KeyboardInterrupt):
                move_aside(Path(f"killed-{stop}"))
        assert never_saved(Path(f"killed-{stop}"))
        move_aside(Path(f"killed-{stop}"))
        assert not never_saved(Path(f"killed-{stop}"))
        kept = [path for aside in Path(f"killed-{stop}").glob("before-*") for path in aside.iterdir()]
        assert len(kept) == number


# To go on


def test_data_that_are_refused_change_nothing_of_a_run_that_would_go_on(there: Command) -> None:
    Path("houses.csv").unlink()
    before = files(Path("run"))
    line = one_line(there("train", "resume=run", "trainer.max_epochs=4", "resume_allow=[trainer.max_epochs]"))
    assert "houses.csv" in line
    after = files(Path("run"))
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed <= {"ftlab.log", ".lock"}


# A start that comes to nothing


OWN_FOLDER = "hydra.run.dir=some/where"  # else the one of the day and time
TINY = ["backbone.name=test_resnet", "backbone.pretrained=false", "data.image_size=32", "subset=40"]
REFUSED = {
    "a table that is not there": (["data=table", "data.file=nope.csv", "data.label_column=a"], "nope.csv"),
    "images that are not there": (["data=image_folder", "data.root=no/pe", OWN_FOLDER], "data.root=no/pe is not there"),
    "weights that are not there": (["backbone.weights=nope.pth"], "backbone.weights=nope.pth: there is no such file"),
    "phases that are not there": (
        ["strategy=phases", "strategy.file=nope.yaml", OWN_FOLDER],
        "strategy.file=nope.yaml",
    ),
    "a split that is not there": (["data.split_from=nope"], "data.split_from=nope: no split there"),
    "machines that nobody started": ([*TINY, "trainer.num_nodes=2"], "trainer.num_nodes=2"),
    "a batch for fewer processes": (
        [*TINY, "trainer.devices=4", "data.batch_size=2", "trainer.accelerator=cpu", OWN_FOLDER],
        "data.batch_size=2",
    ),
    "a launcher that is not installed": (["-m", "seed=1,2", "hydra/launcher=ray"], "pip install hydra-ray-launcher"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_one_line_and_leaves_nothing(command: Command, words: list[str], said: str) -> None:
    line = one_line(command("train", *words))
    assert said in line
    assert list(Path.cwd().iterdir()) == []


@no_gpu
@pytest.mark.parametrize("mode", ["train", "plan"])
def test_a_gpu_that_is_not_there_is_one_line_and_does_not_block_the_corrected_command(
    there: Command, mode: str
) -> None:
    words = (mode, *TABLE[1:], "hydra.run.dir=other", "cache=auto")
    before = files(Path())
    line = one_line(there(*words, "trainer.accelerator=gpu"))
    assert line.startswith("ftlab: trainer.accelerator=gpu trainer.devices=1: ")
    assert line.endswith("Found here: cpu (1).")
    assert files(Path()) == before
    assert there(*words).code == 0


@no_gpu
def test_a_gpu_that_is_not_there_is_told_where_a_bundle_is_used(there: Command) -> None:
    line = one_line(there("evaluate", "bundle=run/bundle", "accelerator=gpu"))
    assert line == "ftlab: accelerator=gpu: there is none here; found: cpu"
    with pytest.raises(UserError, match="accelerator=cuda:1"):
        device_of("cuda:1")


def test_a_mistyped_accelerator_is_told_with_the_near_one(command: Command) -> None:
    assert "did you mean 'gpu'?" in one_line(command("train", "trainer.accelerator=gqu"))


def test_in_a_folder_of_the_user_only_what_the_start_made_is_taken_away(command: Command) -> None:
    Path("mine", ".hydra").mkdir(parents=True)
    Path("mine", "ftlab.log").write_text("of before\n")
    Path("mine", "notes.txt").touch()
    assert command("train", "hydra.run.dir=mine", "backbone.weights=nope.pth").code == 2
    assert {path.name for path in Path("mine").iterdir()} == {".hydra", "ftlab.log", "notes.txt"}
    assert Path("mine", "ftlab.log").read_text().startswith("of before\n")


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_start_that_fails_in_any_way_leaves_nothing(command: Command, quick_run: list, seed: int) -> None:
    """Wrong input, a defect, Ctrl-C."""
    assert command("train", f"seed={seed}").code == {7: 2, 8: 1, 9: 130}[seed]
    assert list(Path.cwd().iterdir()) == []


def test_from_python_a_start_that_fails_leaves_nothing_either(tmp_path: Path) -> None:
    config = ftlab.compose(["data=own", "data.image_size=8", "strategy=full", "trainer.accelerator=cpu", "subset=5000"])
    with pytest.raises(UserError, match="subset"):
        ftlab.train(config, tmp_path / "a" / "run", splits(), tiny_backbone())
    assert list(tmp_path.iterdir()) == []


def test_what_another_run_has_begun_meanwhile_is_not_taken_away(tmp_path: Path) -> None:
    with no_trace("run_dir", tmp_path / "run"), locked(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").touch()
        with no_trace("run_dir", tmp_path / "run"):
            (tmp_path / "run" / "metrics.csv").touch()
        assert (tmp_path / "run" / "metrics.csv").exists()
    assert list(tmp_path.iterdir()) == []


# What is not installed


def test_skops_is_missed_before_anything_is_computed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("skops", "skops.io"):
        monkeypatch.setitem(sys.modules, name, None)
    ended = command("train", "head=sklearn", "strategy=closed_form", "backbone.name=test_resnet", "subset=40",
                    "backbone.pretrained=false", "data.image_size=32")  # fmt: skip
    assert "pip install 'ftlab[sklearn]'" in one_line(ended)
    assert ended.out == ""
    assert list(Path.cwd().iterdir()) == []


def test_pyarrow_is_missed_only_for_a_file_that_is_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    words = ("train", "data=table", "data.file=some.parquet", "data.label_column=a")
    assert "data.file=some.parquet is not a file" in one_line(command(*words))
    Path("some.parquet").touch()
    assert "pip install 'ftlab[table]'" in one_line(command(*words))
    assert [path.name for path in Path.cwd().iterdir()] == ["some.parquet"]


def test_an_unknown_launcher_is_told_as_any_option(command: Command) -> None:
    assert "hydra/launcher=jobs: no such option" in one_line(command("train", "-m", "seed=1,2", "hydra/launcher=jobs"))


# The other processes


def test_a_process_ends_with_the_one_that_started_it() -> None:
    child = (
        "import os, time; from ftlab.training.distributed.processes import end_with_parent\n"
        "end_with_parent(0.05); print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys\n"
        f"other = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "print(int(other.stdout.readline()), flush=True); sys.stdin.read()"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with started:
        assert started.stdout is not None
        number = int(started.stdout.readline())
        os.kill(number, 0)  # it is alive
        started.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and is_alive(number):
        time.sleep(0.05)
    assert not is_alive(number)


def is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    status = Path("/proc", str(number), "stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
