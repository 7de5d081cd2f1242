"""checkpoint.keep: what stays of a run's checkpoints, and what it can still do with them."""

import json
import shutil
from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import ftlab
from ftlab.backbones import weights
from ftlab.cli import main
from ftlab.disk import locked
from ftlab.errors import UserError
from ftlab.finishing import finish, tidy_up
from ftlab.resume import is_finished
from ftlab.strategies.base import Phase, current
from ftlab.training.saving.checkpoints import asked_for, passed
from ftlab.training.saving.keeping import tidy
from ftlab.training.saving.loading import read_checkpoint
from tests.conftest import Command, close_handlers
from tests.test_kept_split import NOISE, write_noise
from tests.training.tiny import prepared

WORDS = [
    *NOISE,
    "backbone=table_mlp",
    "monitor=loss",
    "strategy=progressive",
    "trainer.max_epochs=6",
    "backbone.width=8",
    "compile=off",
]
HASTY = "optimizer.lr=0.3"  # the best epoch is not the last one
MORE = ["trainer.max_epochs=8", "resume_allow=[trainer.max_epochs]"]
IMPATIENT = [*NOISE, "strategy=lp_ft", "strategy.groups=1", "strategy.head_share=0.6", "strategy.head_init=random",
             "strategy.patience=1", "strategy.min_delta=5", "strategy.restore_best=true", "trainer.max_epochs=12",
             "optimizer.lr=0.3", "schedule=constant", "compile=off"]  # fmt: skip
KEEPS = ("all", "last", "best")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, but for what it keeps, in the folders all, last and best."""
    folder = tmp_path_factory.mktemp("keeping")
    write_noise(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for keep in KEEPS:
            ftlab.train(ftlab.compose([*WORDS, HASTY, f"checkpoint.keep={keep}"]), keep)
    close_handlers()
    return folder


def there(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()}


def test_a_run_keeps_what_it_is_told_to(runs: Path) -> None:
    report = json.loads((runs / "all/report.json").read_text())
    assert report["best"]["phase"] == report["phases"][1]["name"]  # which did not train all, so frozen.pt is needed
    phases = {f"phase-{number}-{phase['name']}-best.ckpt" for number, phase in enumerate(report["phases"], start=1)}
    assert there(runs / "all") == {"last.ckpt", "previous.ckpt", "best.ckpt", "frozen.pt", *phases}
    assert there(runs / "last") == {"last.ckpt", "best.ckpt", "frozen.pt"}
    assert there(runs / "best") == {"best.ckpt", "frozen.pt"}


def test_weights_are_those_that_they_were_and_the_optimizer_is_not_kept_with_them(runs: Path) -> None:
    whole = read_checkpoint(runs / "all/checkpoints/best.ckpt")
    assert whole["optimizer_states"]
    for keep in ("last", "best"):
        found = read_checkpoint(runs / keep / "checkpoints/best.ckpt")
        assert found["optimizer_states"] == []
        assert found["state_dict"].keys() == whole["state_dict"].keys()
        assert all(torch.equal(value, whole["state_dict"][name]) for name, value in found["state_dict"].items())
    read = weights.read(runs / "best/checkpoints/best.ckpt")
    assert read.keys() == weights.read(runs / "all/checkpoints/best.ckpt").keys()


def test_a_run_that_keeps_its_last_checkpoint_is_prolonged_to_the_same_weights(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    found = []
    for keep in ("all", "last"):
        ftlab.train(ftlab.compose([*WORDS, HASTY, *MORE, f"resume={keep}"]))
        found.append(load_file(runs / keep / "bundle/model.safetensors"))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert there(runs / "last") == {"last.ckpt", "best.ckpt", "frozen.pt"}


def test_one_that_keeps_weights_only_says_so_and_is_done(command: Command) -> None:
    write_noise(Path())
    words = [*WORDS, "hydra.run.dir=run", "checkpoint.keep=best"]
    ended = command("train", *words)
    assert ended.code == 0, ended.err
    report = json.loads(Path("run/report.json").read_text())
    assert report["best"]["phase"] == report["phases"][-1]["name"]  # which trains all
    assert there(Path("run")) == {"best.ckpt"}
    (line,) = [line for line in ended.out.splitlines() if line.startswith("checkpoints: ")]
    assert "(checkpoint.keep=best); the run cannot be prolonged; backbone.weights=" in line
    refused = command("train", "resume=run", *MORE)
    assert refused.code == 2
    assert "the run is finished, and its last checkpoint is not kept (checkpoint.keep=best)" in refused.err
    assert "nothing is left to do" in command("train", *words, "resume=auto").out
    assert command("evaluate", "bundle=run/bundle").code == 0


def test_what_is_kept_may_be_another_than_the_run_was_begun_with(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    with pytest.raises(UserError, match="the run is finished; to train on"):  # and no key that differs is named
        ftlab.train(ftlab.compose([*WORDS, HASTY, "checkpoint.keep=best", "trainer.max_epochs=8", "resume=all"]))


@pytest.mark.parametrize(("keep", "kept"), [("all", {1, 2, 3}), ("last", {3}), ("best", {3})])
def test_a_run_drops_the_best_weights_of_phases_that_have_passed(tmp_path: Path, keep: str, kept: set[int]) -> None:
    run = prepared(tmp_path, "strategy=progressive", "trainer.max_epochs=6", f"checkpoint.keep={keep}").fit()
    assert [record["phase"] for record in run.finetuner.history] == ["head"] * 2 + ["top"] * 2 + ["stem"] * 2
    assert {int(path.name.split("-")[1]) for path in (tmp_path / "checkpoints").glob("phase-*")} == kept


def test_the_best_weights_of_a_phase_go_when_neither_of_two_checkpoints_can_ask_for_them() -> None:
    for patience, epochs in product((None, 1), (1, 2, 3)):
        phases = [Phase(name, epochs, {"head/fc": 1.0}, patience, start="best") for name in "abc"]
        for losses in product((1.0, 2.0), repeat=3 * epochs):
            for done in range(1, len(losses) + 1):
                gone = set(passed(phases, losses[:done]))
                needed = set()
                for known in (losses[:done], losses[: done - 1]):
                    span = current(phases, known)
                    begins = span.first_epoch == len(known)
                    needed |= {span.phase - 1} if begins else {span.phase}
                    assert asked_for(phases, known) in {None, *needed}
                assert not gone & needed
                first = min(needed)
                assert gone == set(range(first)) or first < 0


def test_weights_are_asked_for_where_a_phase_begins_with_the_best_of_the_one_before() -> None:
    phases = [Phase(name, 3, {"head/fc": 1.0}, start="best") for name in "ab"]
    assert asked_for(phases, []) is None
    assert asked_for(phases, [1.0, 2.0]) == 0  # one more epoch, which need not be better
    assert asked_for(phases, [1.0, 2.0, 3.0]) == 0
    assert asked_for(phases, [3.0, 2.0, 1.0]) is None  # the weights are there as they are
    assert asked_for(phases, [1.0, 2.0, 3.0, 1.0]) is None  # no phase follows
    assert asked_for([replace(phase, start="current") for phase in phases], [1.0, 2.0, 3.0]) is None


@pytest.fixture(scope="module")
def impatient(runs: Path) -> Path:
    """A run of which both phases ended by their patience."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(runs)
        ftlab.train(ftlab.compose(IMPATIENT), "impatient")
    close_handlers()
    report = json.loads((runs / "impatient/report.json").read_text())
    assert [phase["ended_by"] for phase in report["phases"]] == ["plateau", "plateau"]
    return runs / "impatient"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["strategy.patience=null", "resume_allow=[strategy.patience]"],
         "phase '.*' would begin with the best weights of phase 'head'.* strategy.restore_best=false"),
        (["trainer.max_epochs=14", "resume_allow=[trainer.max_epochs]"],
         r"after \d epochs the last phase is at the end of its patience of 1; give early_stopping.patience=N"),
    ],
)  # fmt: skip
def test_what_a_finished_run_cannot_do_is_refused_before_anything_is_written(
    words: list[str], said: str, impatient: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(impatient.parent)
    before = (impatient / "config.yaml").read_bytes()
    with pytest.raises(UserError, match=said):
        ftlab.train(ftlab.compose([*IMPATIENT, "resume=impatient", *words]))
    assert (impatient / "config.yaml").read_bytes() == before
    assert is_finished(impatient)


def test_it_is_said_how_a_run_gets_more_epochs(impatient: Path) -> None:
    said = "resume=impatient early_stopping.patience=N 'resume_allow=[early_stopping.patience]' prolongs the run"
    assert said in (impatient / "ftlab.log").read_text()


# What fails when a run has its report, or is not done any more


@pytest.fixture
def killed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that keeps its best weights, killed after its report."""
    monkeypatch.chdir(runs)
    folder = Path("killed")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree("best", folder)
    for name in ("last", "previous", "phase-1-head-best"):
        shutil.copyfile("all/checkpoints/best.ckpt", folder / f"checkpoints/{name}.ckpt")
    return folder


def test_what_a_run_was_killed_before_is_made_up_for_when_it_is_started_again(
    killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["train", *WORDS, HASTY, "checkpoint.keep=best", "resume=auto", f"hydra.run.dir={killed}"]
    before = there(killed)
    with locked(killed):  # by another process that does the same
        assert main(again) == 0
    assert "another run is working in this folder" in capsys.readouterr().out
    assert there(killed) == before
    assert main(again) == 0
    assert "nothing is left to do\ncheckpoints: " in capsys.readouterr().out
    assert there(killed) == there(Path("best"))


def test_what_fails_after_the_report_is_a_warning(killed: Path) -> None:
    report = json.loads((killed / "report.json").read_text())
    del report["prolonged_by"]  # of a run of an earlier version
    assert "checkpoints: " in tidy(killed, report)[0]
    shutil.copyfile("all/checkpoints/best.ckpt", killed / "checkpoints/last.ckpt")
    (killed / "checkpoints/best.ckpt").write_bytes(b"no checkpoint")
    shutil.rmtree(killed / "tensorboard")
    (killed / "tensorboard").touch()
    console = Console(file=StringIO())
    finish(killed, report, [], console)
    (killed / "checkpoints/best.partial").mkdir()  # cannot be removed as a file
    tidy_up(killed, report, console)
    assert isinstance(console.file, StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("warning: ")]
    assert [line.split(": ")[1] for line in lines[-3:]] == ["tensorboard", "checkpoints", "checkpoints"]
    assert "best.ckpt: truncated or not a checkpoint" in lines[-2]
    assert "best.partial" in lines[-1]
