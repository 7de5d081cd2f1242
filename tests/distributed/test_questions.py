"""Two processes with questions of uneven numbers of windows are one process with all of them."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import ftlab
from ftlab.assembly import assemble
from ftlab.config import plainly
from ftlab.run import loaders
from ftlab.run_settings import typed
from ftlab.training.distributed.processes import free_port
from ftlab.training.fit import prepare
from ftlab.training.trainer import only_news
from tests.distributed.forked import forked
from tests.texts.questions import network, rows, words, written
from tests.training.tiny import console

pytest.importorskip("transformers")
OWN = ("strategy=partial", "strategy.last=1", "trainer.max_epochs=2", "data.batch_size=6", "cache=memory",
       "trainer.precision=32-true", "task.score=0.5", "optimizer=sgd", "optimizer.lr=0.05",
       "strategy.average=false")  # fmt: skip


def fit(folder: Path, *more: str) -> None:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = plainly(ftlab.compose(words(folder.parent, *OWN, *more)), resolve=True)
    torch.manual_seed(0)
    parts, own = assemble(settings), typed(settings)
    trainer, tuner = prepare(parts, own, partial(loaders, parts, own), folder, console())
    with only_news():
        trainer.fit(tuner)
    state = {name: value.clone() for name, value in tuner.model.state_dict().items()}
    torch.save({"state": state, "history": tuner.history[-1]["val"]}, folder / f"{trainer.global_rank}.pt")


def do(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    fit(folder / "two", "trainer.devices=2", "trainer.strategy=ddp")


def test_two_processes_train_and_judge_as_one(tmp_path):
    network(tmp_path / "net")
    train, val = [*rows(6, 1), *rows(5, 2, letters=7, without=2)], [*rows(4, 3), *rows(3, 4, letters=5, without=2)]
    parted = [row | {"split": "train"} for row in train] + [row | {"split": "val"} for row in val]
    written(tmp_path / "questions.jsonl", parted)
    fit(tmp_path / "one")
    forked(do, free_port(), tmp_path, processes=2)
    one, first, second = (torch.load(tmp_path / name) for name in ("one/0.pt", "two/0.pt", "two/1.pt"))
    for name, value in one["state"].items():
        assert torch.equal(first["state"][name], second["state"][name])
        assert torch.allclose(first["state"][name], value, atol=1e-5), name
    assert first["history"] == pytest.approx(one["history"], rel=1e-4)
    assert first["history"] == second["history"]
