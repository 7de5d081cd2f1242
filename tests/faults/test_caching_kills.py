"""SIGKILL while the frozen part is computed, or read, and two runs that keep the same values at once."""

import os
import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from ftlab.cache import entries
from ftlab.cache.rows import Rows
from ftlab.training.fit import prepare
from ftlab.training.saving import checkpoints
from ftlab.training.trainer import only_news
from tests.distributed.forked import forked
from tests.faults.kills import die_at_step, final
from tests.training.test_caching import ALL, HEAD, TOP
from tests.training.test_resume import assert_equal
from tests.training.tiny import console, parts_of

WORDS = ["strategy=phases", f"strategy.inline=[{HEAD},{ALL},{TOP}]", "strategy.batchnorm=train"]
WORDS += ["checkpoint.every_n_steps=2"]
STEPS = 5  # of an epoch; the phases have 2, 1 and 2 epochs
BATCHES = 3 + 2  # of 16 samples, of train and val, for each value
VALUES = 1, 2  # of the first phase, and of the last, which has a pass of its own


def train(_: int, folder: Path, words: list[str], at_step: int = 0, at_batch: int = 0) -> None:
    """Begin the run in `folder`, or go on with it; 0: nobody kills it."""
    torch.set_num_threads(1)
    os.environ["FTLAB_CACHE"] = str(folder.parent / "cache")
    goes_on = (folder / "checkpoints" / checkpoints.LAST).exists()
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    if at_step:
        die_at_step(at_step)
    if at_batch:
        die_at_batch(at_batch)
    parts, settings, make_data = parts_of(*WORDS, *words)
    with only_news():
        trainer, tuner = prepare(parts, settings, make_data, folder, console())
        trainer.fit(tuner, ckpt_path=checkpoints.newest(folder / "checkpoints") if goes_on else None, weights_only=True)


def die_at_batch(number: int) -> None:
    """SIGKILL when the `number`-th batch of values is about to be kept."""
    put, seen = Rows.put, [0]

    def counted(self: Rows, places: torch.Tensor, values: torch.Tensor) -> None:
        seen[0] += len(self.array) > 8  # not the few of the measurement before the run
        if seen[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        put(self, places, values)

    Rows.put = counted  # type: ignore[method-assign]


def killed(folder: Path, words: list[str], **at: int) -> None:
    with pytest.raises(torch.multiprocessing.ProcessExitedException, match="SIGKILL"):
        forked(train, folder, words, *(at.get(name, 0) for name in ("at_step", "at_batch")), processes=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What a run that nobody killed has come to, by the place of the values."""

    @cache
    def found(mode: str) -> Any:
        folder = tmp_path_factory.mktemp("whole") / mode
        forked(train, folder, [f"cache={mode}"], processes=1)
        return final(folder)

    return found


@pytest.mark.parametrize("mode", [pytest.param("memory", marks=pytest.mark.slow), "disk"])
def test_a_run_killed_while_values_are_computed_and_while_they_are_read_ends_bit_identical(tmp_path, whole, mode):
    """In the first pass, in the middle of an epoch that reads, in the pass of the last phase, and in that."""
    run, words = tmp_path / "run", [f"cache={mode}"]
    killed(run, words, at_batch=3)
    killed(run, words, at_step=STEPS + 3)
    found = 0 if mode == "disk" else BATCHES * VALUES[0]
    killed(run, words, at_batch=found + 2)
    killed(run, words, at_step=STEPS)
    forked(train, run, words, processes=1)
    assert_equal(final(run), whole(mode))


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    killed(tmp_path / "run", ["cache=disk"], at_batch=3)
    assert len(entries.unfinished()) == 1
    assert entries.entries() == []
    forked(train, tmp_path / "run", ["cache=disk"], processes=1)
    assert entries.unfinished() == []
    assert len(entries.entries()) == 2 * sum(VALUES)  # of both splits


# --- two runs at once


def beside(rank: int, folder: Path) -> None:
    """Each waits with its first values for the other, so that both write the same entries at once."""
    put = Rows.put

    def together(self: Rows, places: torch.Tensor, values: torch.Tensor) -> None:
        if len(self.array) > 8:
            (folder / f"here-{rank}").touch()
            end = time.monotonic() + 60
            while len(list(folder.glob("here-*"))) < 2 and time.monotonic() < end:
                time.sleep(0.01)
        put(self, places, values)

    Rows.put = together  # type: ignore[method-assign]
    train(rank, folder / f"run-{rank}", ["cache=disk"])


def test_two_runs_that_keep_the_same_values_at_once_both_succeed(tmp_path, monkeypatch, whole):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    forked(beside, tmp_path, processes=2)
    for rank in (0, 1):
        assert_equal(final(tmp_path / f"run-{rank}"), whole("disk"))
    assert entries.unfinished() == []
    first = entries.entries()
    assert len({entry.key for entry in first}) == len(first) == 2 * sum(VALUES)
    assert all(entries.find(entry.key) is not None for entry in first)
