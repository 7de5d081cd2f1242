"""What holds for every run holds where texts are written: over windows of batches, processes, and runs that go on."""

import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from ftlab.training.distributed.processes import free_port
from ftlab.training.fit import prepare
from ftlab.training.saving import checkpoints
from ftlab.training.trainer import only_news
from tests.distributed.forked import forked
from tests.training.test_resume import assert_equal, without_times
from tests.training.tiny import console, moved
from tests.writing.runs import parts_of, prepared

pytest.importorskip("transformers")
PLAIN = ("optimizer=sgd", "trainer.max_epochs=1", "optimizer.lr=0.5")


def farthest(one, other):
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def test_4_batches_of_8_are_1_batch_of_32(tmp_path):
    runs = {
        "once": ("data.batch_size=32",),
        "many": ("data.batch_size=8", "trainer.accumulate_grad_batches=4"),
        "apart": ("data.batch_size=8",),
    }
    states = {name: prepared(tmp_path / name, *PLAIN, *words).fit().state() for name, words in runs.items()}
    assert farthest(states["many"], states["once"]) < 1e-5
    assert farthest(states["apart"], states["once"]) > 1e-3  # else the line above would say nothing


def run(rank: int, world: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    if world > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    own = ("data.batch_size=8", f"trainer.devices={world}", f"trainer.strategy={'ddp' if world > 1 else 'auto'}")
    made = prepared(folder, *PLAIN, *own, "task.generate=each", "task.generation.max_tokens=6")
    made.fit()
    torch.save({"weights": made.state(), "history": made.finetuner.history}, folder / f"{rank}.pt")


def test_two_processes_train_and_judge_what_they_write_as_one(tmp_path):
    found = {}
    for world in (1, 2):
        (tmp_path / str(world) / "checkpoints").mkdir(parents=True)
        forked(run, world, free_port(), tmp_path / str(world), processes=world)
        found[world] = [torch.load(tmp_path / str(world) / f"{rank}.pt", weights_only=True) for rank in range(world)]
    (alone,), (first, second) = found[1], found[2]
    assert farthest(first["weights"], second["weights"]) == 0.0
    assert farthest(first["weights"], alone["weights"]) < 1e-5
    assert alone["history"][0]["val"]["ter"] > 0
    for part in ("train", "val"):
        assert first["history"][0][part] == pytest.approx(alone["history"][0][part], rel=1e-4)


class Dies(Callback):
    """Ends a run in the middle of an epoch, as a kill does that leaves what is on disk."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == 7:
            raise KeyboardInterrupt


def test_a_run_that_ended_within_an_epoch_goes_on_with_the_same_bits_and_frozen_stages_keep_theirs(tmp_path):
    words = ("strategy=partial", "strategy.patterns=[head/cross,head/blocks.1]", "trainer.max_epochs=3",
             "checkpoint.every_n_steps=1", "data.batch_size=8")  # fmt: skip
    whole = prepared(tmp_path / "whole", *words, drop=0.1)
    before = whole.state()
    whole.fit()
    frozen = [s for s in whole.parts.model.stages if s.name not in whole.parts.phases[-1].trainable]
    assert {"backbone/embeddings", "head/embeddings", "head/blocks.0"} <= {stage.name for stage in frozen}
    changed = moved(before, whole.state())
    assert not changed & {name for stage in frozen for name in stage.parameters}
    assert any("encoder_attn" in name for name in changed)
    begun = prepared(tmp_path / "again", *words, drop=0.1)
    with pytest.raises(BaseException, match=r".*"):  # Lightning turns it into an exit of its own
        begun.fit(Dies())
    parts, settings, make_data = parts_of(*words, drop=0.1)
    with only_news():
        trainer, tuner = prepare(parts, settings, make_data, tmp_path / "again", console())
        trainer.fit(tuner, ckpt_path=checkpoints.newest(tmp_path / "again" / "checkpoints"))
    assert_equal(dict(parts.model.state_dict()), dict(whole.parts.model.state_dict()))
    assert_equal(without_times(tuner.history), without_times(whole.finetuner.history))
