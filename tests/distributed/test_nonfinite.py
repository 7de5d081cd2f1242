"""One rank sees a bad number: all ranks decide alike, name its files, and stay equal."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from rich.console import Console

from ftlab.errors import UserError
from ftlab.run import loaders
from ftlab.run_settings import typed
from ftlab.training import fit
from ftlab.training.distributed.processes import free_port
from tests.distributed.forked import forked
from tests.distributed.test_ranks import PHASES, difference, parts, settings


class PoisonOne(Callback):
    """The images of rank 1 are nan in chosen batches, by their number in the run."""

    def __init__(self, *batches: int) -> None:
        self.batches, self.count = batches, -1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.count += 1
        if trainer.global_rank == 1 and self.count in self.batches:
            self.index = batch.index.tolist()
            batch.inputs["images"].fill_(float("nan"))


def run(rank: int, port: int, folder: Path, policy: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    made, config = parts(), typed({**settings(2), "on_nonfinite": policy})
    poison = PoisonOne(9)  # epoch 1, the second of the two batches of a window
    said = ""
    with fit.trainers.only_news():
        trainer, tuner = fit.prepare(made, config, partial(loaders, made, config), folder, Console(quiet=True))
        trainer.callbacks.append(poison)  # type: ignore[attr-defined]
        try:
            trainer.fit(tuner)
        except UserError as error:
            said = str(error)
    weights = {k: v.clone() for k, v in tuner.model.state_dict().items()}
    found = {"weights": weights, "events": tuner.recovery.events, "said": said, "epochs": len(tuner.history)}
    torch.save({**found, "index": getattr(poison, "index", [])}, folder / f"{rank}.pt")


@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
def test_a_bad_batch_of_one_rank_is_dealt_with_on_all(tmp_path, policy):
    (tmp_path / "checkpoints").mkdir()
    forked(run, free_port(), tmp_path, policy, processes=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert difference(*ranks) == 0.0
    assert all(torch.isfinite(value).all() for value in ranks[0]["weights"].values())
    names = ranks[1]["index"][:3]  # of rank 1 only; its samples are named by their numbers
    assert ranks[0]["events"] == ranks[1]["events"]
    if policy == "stop":
        assert ranks[0]["said"] == ranks[1]["said"] != ""
        assert f"in the batch of {', '.join(map(str, names))}" in ranks[0]["said"]
        return
    (event,) = ranks[0]["events"]
    assert event["names"] == [str(i) for i in names]
    assert ranks[0]["epochs"] == len(PHASES)
