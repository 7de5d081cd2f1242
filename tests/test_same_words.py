"""A command of train is one of check and of plan: the same words, the same refusals, and nothing left in the folder."""

import json
from pathlib import Path

import pytest

from tests.conftest import Command, Ended, close_handlers

# Of each run: a table of ten columns, and a network that takes seconds.
NUMBERS = ("task=regression", "data=diabetes", "trainer.accelerator=cpu", "hydra.run.dir=runs/here")
MODES = ("check", "plan")


def said(ended: Ended) -> str:
    """What an error, or the table of problems, says, on one line."""
    return " ".join(f"{ended.out} {ended.err}".split())


@pytest.mark.parametrize("mode", MODES)
def test_the_words_of_a_run_are_taken_and_leave_nothing(command: Command, mode: str) -> None:
    words = ("strategy=full", "optimizer.lr=0.1", "subset=0.5", "early_stopping.patience=3", "seed=2")
    ended = command(mode, *NUMBERS, *words)
    assert ended.code == 0, ended.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_bad_word_is_refused_as_train_refuses_it(command: Command, mode: str) -> None:
    for word in ("optimizer.lr=-1", "taks=regression", "strategy=ful", "head.hiden=3"):
        ended = command(mode, word)
        assert ended.code == 2
        # check has a key of its own, so it accepts one more; what is wrong, and what is near, are the same
        assert ended.err.partition("ccepted")[0] == command("train", word).err.partition("ccepted")[0]


@pytest.mark.parametrize(
    "words",
    [
        ("data=diabetes",),  # classification, of numbers
        ("task=regression",),  # of digits
        ("task=regression", "data=diabetes", "backbone=timm"),
        ("task=regression", "data=diabetes", "augment=light"),
        ("task=regression", "data=diabetes", "monitor=accuracy"),
        ("backbone.name=resnett18",),
        ("backbone.weights=nowhere.pth",),
        ("subset=100000",),
        ("strategy.groups=50",),
    ],
    ids=" ".join,
)
def test_check_and_plan_find_what_train_refuses_at_its_start(command: Command, words: tuple[str, ...]) -> None:
    began = command("train", *words)
    assert began.code == 2
    expected = said(began).removeprefix("ftlab: ")
    for mode in MODES:
        ended = command(mode, *words, "data.check=fast")
        assert ended.code == 2
        assert expected in said(ended)


def test_what_check_finds_of_the_task_is_in_its_file_as_an_error(command: Command) -> None:
    assert command("check", "data=diabetes", "output=found.json").code == 2
    (problem,) = json.loads(Path("found.json").read_text())["problems"]
    assert problem["severity"] == "error"
    assert problem["kind"].endswith("choose task=regression")


def test_check_says_of_a_subset_what_a_run_says(command: Command) -> None:
    ended = command("check", *NUMBERS, "subset=20")
    assert ended.code == 0
    assert "20 training samples in all; that is less than one batch of 32" in said(ended)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs."""
    from ftlab.cli import main

    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", *NUMBERS[:-1], f"hydra.run.dir={folder}", "trainer.max_epochs=2", "strategy=full"]) == 0
    close_handlers()
    return folder


LONGER = ("trainer.max_epochs=5", "resume_allow=[trainer.max_epochs]")


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_goes_on_is_looked_at_with_its_own_words(command: Command, finished: Path, mode: str) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    ended = command(mode, f"resume={finished}", *LONGER)
    assert ended.code == 0, ended.err
    assert ("5 epochs in 1 phase" if mode == "plan" else "data=diabetes") in said(ended)
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_cannot_go_on_is_refused_as_by_train(command: Command, finished: Path, mode: str) -> None:
    for words in ((f"resume={finished}",), ("resume=nowhere",), (f"resume={finished}", "seed=5", *LONGER)):
        ended, expected = command(mode, *words), command("train", *words)
        assert (ended.code, ended.err) == (expected.code, expected.err) == (2, ended.err)
    done = command(mode, "resume=auto", f"hydra.run.dir={finished}")
    assert (done.code, done.err) == (0, "")
    assert "the run is finished" in done.out
