"""Two processes share what the frozen part computes: each computes its own samples, and all read the same values."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from ftlab.cache import entries
from ftlab.cache.rows import Rows
from ftlab.training.distributed.processes import free_port
from ftlab.training.finetuner import FineTuner
from ftlab.training.fit import prepare
from ftlab.training.saving.checkpoints import Checkpoints, newest
from ftlab.training.trainer import only_news
from tests.distributed.forked import forked
from tests.training.test_caching import HEAD, TOP
from tests.training.test_resume import assert_equal, last
from tests.training.tiny import Run, console, parts_of, splits

TRAIN, VAL = 41, 20  # of an odd number one process has more than the other
PHASES = ("strategy=phases", f"strategy.inline=[{HEAD},{TOP}]", "checkpoint.every_n_steps=1")
TWO = ("trainer.devices=2", "trainer.strategy=ddp")
PLAIN = ("optimizer=sgd", "optimizer.lr=0.05")  # Adam divides by gradients near 0 and turns a rounding into a step


@dataclass(frozen=True)
class Job:
    """A run of the tiny network; `of`: the folder of the one that it goes on with."""

    name: str
    words: tuple[str, ...]
    of: str | None = None
    drop: float = 0.3


class Seen(Callback):
    """What one process has computed and read."""

    def __init__(self) -> None:
        self.computed: list[int] = []  # rows
        self.values: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        for split, kept in pl_module.supply.kept.items():
            values = [torch.from_numpy(rows.array.copy()) for rows in kept.rows]
            self.values[f"{pl_module.running.name}/{split}"] = values


def do(rank: int, port: int, folder: Path, jobs: list[Job]) -> None:
    """Several runs, one after the other, in each of two processes."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "FTLAB_CACHE": str(folder / "cache")}
    for job in jobs:
        seen, run = Seen(), folder / job.name
        put = Rows.put

        def counted(self: Rows, places: torch.Tensor, values: torch.Tensor, seen: Seen = seen, put: Any = put) -> None:
            if len(self.array) > 8:  # not the few of the measurement before the run
                seen.computed += places.tolist()
            put(self, places, values)

        Rows.put = counted  # type: ignore[method-assign]
        fit(run, job, seen)
        Rows.put = put  # type: ignore[method-assign]
        torch.save({"computed": seen.computed, "values": seen.values}, folder / f"{job.name}-{rank}.pt")


def fit(folder: Path, job: Job, *callbacks: Callback) -> Run:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        keep_within_epochs(patch)
        parts, settings, make_data = parts_of(*job.words, drop=job.drop, data=splits(TRAIN))
        run = Run(parts, *prepare(parts, settings, make_data, folder, console()))
        run.trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
        path = newest(folder.parent / job.of / "checkpoints") if job.of else None
        with only_news():
            run.trainer.fit(run.finetuner, ckpt_path=path, weights_only=True)
    return run


def keep_within_epochs(patch: pytest.MonkeyPatch) -> None:
    """Copies of a run's folder as a kill in the middle of an epoch would leave it: RUN-within-EPOCH."""
    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        run = self.folder.parent
        if epoch is None and trainer.is_global_zero:
            shutil.copytree(run, run.with_name(f"{run.name}-within-{trainer.current_epoch}"), dirs_exist_ok=True)
        trainer.strategy.barrier()

    patch.setattr(Checkpoints, "_save", save_and_keep)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    alone = Job("alone", (*PHASES, *PLAIN, "cache=off"), drop=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTLAB_CACHE", str(folder / "cache"))
        fit(folder / "alone", alone)
        fit(folder / "one", Job("one", (*PHASES, *PLAIN, "cache=memory"), drop=0.0))
    modes = [Job(mode, (*PHASES, *TWO, f"cache={mode}")) for mode in ("off", "memory", "disk")]
    head = ("strategy=head_only", "trainer.max_epochs=2", *TWO)
    later = [
        Job("again", (*PHASES, *TWO, "cache=disk")),
        Job("head-off", (*head, "cache=off")),
        Job("head-memory", (*head, "cache=memory")),
        *(
            Job(f"{m}-on-{e}", (*PHASES, *TWO, f"cache={m}"), f"{m}-within-{e}")
            for m in ("memory", "disk")
            for e in (1, 2)
        ),
        Job("more", (*PHASES, *PLAIN, *TWO, "cache=memory"), "one-within-2", drop=0.0),
    ]
    forked(do, free_port(), folder, [*modes, *later], processes=2)
    return folder


def both(runs: Path, name: str) -> list[dict[str, Any]]:
    return [torch.load(runs / f"{name}-{rank}.pt", weights_only=True) for rank in (0, 1)]


def apart(runs: Path, a: str, b: str) -> float:
    one, other = last(runs / a)["state_dict"], last(runs / b)["state_dict"]
    return max((one[k].float() - other[k].float()).abs().max().item() for k in one)


@pytest.mark.parametrize(
    ("with_cache", "without"), [("memory", "off"), ("disk", "off"), ("again", "off"), ("head-memory", "head-off")]
)
def test_two_processes_with_a_cache_train_as_two_without(runs, with_cache, without):
    assert apart(runs, with_cache, without) < 1e-5


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_each_sample_is_computed_by_one_process_and_read_by_both(runs, mode):
    one, other = both(runs, mode)
    together = sorted([*one["computed"], *other["computed"]])
    values = len(one["values"]["head/train"]) + len(one["values"]["top/train"])  # of both phases, by one pass a split
    assert together == sorted([*range(TRAIN), *range(VAL)] * values)
    assert set(one["values"]) == {"head/train", "head/val", "top/train", "top/val"}
    assert_equal(one["values"], other["values"])
    assert all(value.any(dim=1).all() for value in one["values"]["top/train"])  # no row is missing


def test_one_entry_lies_on_disk_for_each_value_and_the_next_run_finds_it(runs, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(runs / "cache"))
    one, _ = both(runs, "disk")
    assert len(entries.entries()) == sum(map(len, one["values"].values()))
    assert entries.unfinished() == []
    for again in both(runs, "again"):
        assert again["computed"] == []
        assert_equal(again["values"], one["values"])


@pytest.mark.parametrize("mode", ["memory", "disk"])
@pytest.mark.parametrize("epoch", [1, 2])
def test_two_processes_that_were_killed_within_a_cached_epoch_end_bit_identical(runs, mode, epoch):
    whole, gone_on = last(runs / mode), last(runs / f"{mode}-on-{epoch}")
    assert_equal(whole["state_dict"], gone_on["state_dict"])
    assert_equal(whole["optimizer_states"], gone_on["optimizer_states"])


def test_a_cached_run_of_one_process_goes_on_with_two(runs):
    assert apart(runs, "one", "alone") < 1e-5
    assert apart(runs, "more", "alone") < 1e-5
