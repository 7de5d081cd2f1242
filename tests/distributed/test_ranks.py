"""Two processes (gloo, CPU) train as one, through all phases; the naive thaw, kept as a counter-example, does not."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console
from torch import multiprocessing, nn

from ftlab.assembly import Parts
from ftlab.backbones.module import ModuleBackbone
from ftlab.cache.settings import off
from ftlab.data.base import Samples, Splits
from ftlab.data.module import describe
from ftlab.data.sampling import KeyedBatchSampler
from ftlab.heads.linear import Linear
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ArrayImages
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.model import Model
from ftlab.optimizers import sgd
from ftlab.run import loaders
from ftlab.run_settings import typed
from ftlab.schedules.cosine import Cosine
from ftlab.strategies.phases import Phases
from ftlab.targets.classes import Classes
from ftlab.tasks.classification import Classification
from ftlab.training import fit
from ftlab.training.distributed.processes import free_port
from ftlab.training.distributed.ranks import EqualRanks
from ftlab.training.phases import unfreezing
from tests.distributed.forked import forked
from tests.training import dense

SIZE = 16
ALL, NOT_A, HEAD = {"rest": 1.0}, {"backbone/a": "frozen", "rest": 1.0}, {"head": 1.0, "rest": "frozen"}
PHASES = [  # thaws stage by stage, freezes again and thaws again
    {"name": name, "epochs": 1, "stages": stages}
    for name, stages in {"head": HEAD, "b": NOT_A, "all": ALL, "again": HEAD, "end": ALL}.items()
]
# sgd: the first steps of Adam divide by gradients near 0; in each phase more of the network.
DENSE = ("strategy=progressive", "strategy.groups=2", "trainer.max_epochs=3", "optimizer=sgd", "optimizer.lr=0.01")
DENSE = (*DENSE, "schedule=constant", "strategy.batchnorm=frozen", "trainer.accumulate_grad_batches=2", "monitor=loss")
PHASES.append({"name": "fit", "epochs": 1, "stages": HEAD, "fit": "convex", "C": 0.1})  # to the features of both ranks


def network() -> Model:
    torch.manual_seed(0)
    block = partial(nn.Conv2d, kernel_size=3, stride=2, padding=1)
    module = nn.Sequential(block(3, 8), nn.BatchNorm2d(8), nn.ReLU(), block(8, 8), nn.BatchNorm2d(8), nn.ReLU())
    backbone = ModuleBackbone(module, {"a": ["0", "1"], "b": ["3", "4"]}, num_features=8)
    return Model(backbone, Linear(8, 3, "average"))


def parts(train: int = 50, val: int = 13) -> Parts:
    generator = torch.Generator().manual_seed(1)

    def samples(n: int) -> Samples:
        pixels = torch.randint(0, 256, (n, SIZE, SIZE), generator=generator, dtype=torch.uint8).numpy()
        return Samples(ArrayImages(pixels), torch.arange(n) % 3, [str(i) for i in range(n)])

    splits, spec = describe("noise", Splits(samples(train), samples(val), None, Classes(("x", "y", "z"))), seed=0)
    model = network()
    return Parts(
        splits,
        spec,
        Preprocessing((SIZE, SIZE), (0.5,) * 3, (0.25,) * 3),
        Augment(),
        model,
        Classification(spec, class_weights=[1.0, 2.0, 3.0]),
        Phases(inline=tuple(PHASES)).phases(model.addresses, 5),
        dict.fromkeys(model.addresses, 1.0),
        Cosine(warmup=0.0),
        sgd(0.2, 1e-3, False, momentum=0.9, nesterov=False),
        off(),
    )


def settings(world: int) -> dict[str, Any]:
    trainer = {
        "max_epochs": 5,
        "precision": "32-true",
        "accelerator": "cpu",
        "devices": world,
        "num_nodes": 1,
        "strategy": "ddp" if world > 1 else "auto",
        "accumulate_grad_batches": 2,
        "gradient_clip_val": None,
        "deterministic": False,
    }
    data = {"batch_size": 8, "num_workers": 0}
    checkpoint = {"every_n_steps": None, "every_minutes": None}
    nodes = {
        "backbone": {},
        "head": {},
        "task": {},
        "optimizer": {},
        "strategy": {"_target_": "ftlab.strategies.phases.Phases"},
    }
    run = {"seed": 3, "monitor": "loss", "resume": None}
    return {**run, **nodes, "checkpoint": checkpoint, "trainer": trainer, "data": data}


class Snapshots(Checkpoint):
    """Keeps the weights and the figures of this rank at the end of each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        weights = {k: v.clone() for k, v in pl_module.model.state_dict().items()}
        record = pl_module.history[-1]
        path = self.folder / f"rank{trainer.global_rank}-epoch{trainer.current_epoch}.pt"
        torch.save({"weights": weights, "val": record["val"], "train": record["train"]}, path)


def of_noise(world: int) -> Any:
    """Parts, settings and data of a run that classifies."""
    made, config = parts(), typed(settings(world))
    return made, config, partial(loaders, made, config)


def of_dense(task: str, world: int) -> Any:
    """The same of one that detects or segments; BatchNorm by its running statistics, as each rank has a part only."""
    own = (f"trainer.devices={world}", f"trainer.strategy={'ddp' if world > 1 else 'auto'}")
    return dense.parts_of(task, *DENSE, *own)


KINDS = {"noise": of_noise, **{task: partial(of_dense, task) for task in dense.OF}}


def run(rank: int, world: int, port: int, folder: Path, naive: bool, checked: bool, kind: str) -> None:
    torch.set_num_threads(1)
    if world > 1:  # the processes are there already: Lightning must not start any
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    if naive:
        unfreezing.renew = lambda trainer: None  # thaw by requires_grad alone, as everyone does
    with fit.trainers.only_news():
        trainer, tuner = fit.prepare(*KINDS[kind](world), folder, Console(quiet=True))
        trainer.callbacks.append(Snapshots(folder))
        if not checked:
            trainer.callbacks = [c for c in trainer.callbacks if not isinstance(c, EqualRanks)]
        trainer.fit(tuner)


def start(
    folder: Path, world: int, naive: bool = False, checked: bool = True, kind: str = "noise"
) -> list[list[dict[str, Any]]]:
    """Snapshots by epoch and rank."""
    (folder / "checkpoints").mkdir(parents=True)
    forked(run, world, free_port(), folder, naive, checked, kind, processes=world)
    epochs = len(list(folder.glob("rank0-epoch*.pt")))
    return [
        [torch.load(folder / f"rank{rank}-epoch{epoch}.pt", weights_only=True) for rank in range(world)]
        for epoch in range(epochs)
    ]


def difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    return max((a["weights"][k].float() - b["weights"][k].float()).abs().max().item() for k in a["weights"])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    return start(tmp_path_factory.mktemp("two") / "run", world=2)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return [alone for (alone,) in start(tmp_path_factory.mktemp("one") / "run", world=1)]


def test_the_ranks_have_equal_weights_after_every_phase(two):
    assert [difference(*ranks) for ranks in two] == [0.0] * len(PHASES)


def test_the_naive_thaw_leaves_the_ranks_apart(tmp_path):
    naive = start(tmp_path / "run", world=2, naive=True, checked=False)
    differences = [difference(*ranks) for ranks in naive]
    assert differences[0] == 0.0  # what was trainable at the wrap is synchronised
    assert differences[2] > 0.01


def test_a_run_whose_ranks_drift_apart_is_ended_with_the_name_of_a_parameter(tmp_path):
    with pytest.raises(multiprocessing.ProcessRaisedException, match=r"different weights after epoch 2, phase 'b'"):
        start(tmp_path / "run", world=2, naive=True)


def test_two_processes_train_as_one_with_the_same_global_batches(two, one):
    for ranks, alone in zip(two, one, strict=True):
        assert difference(ranks[0], alone) < 1e-5
        assert ranks[0]["train"]["loss"] == pytest.approx(alone["train"]["loss"], rel=1e-5)


def test_thirteen_samples_on_two_ranks_are_counted_once_each(two, one):
    for ranks, alone in zip(two, one, strict=True):
        assert ranks[0]["val"] == ranks[1]["val"]
        assert ranks[0]["val"] == pytest.approx(alone["val"], rel=1e-5)
        right = ranks[0]["val"]["accuracy"] * 13
        assert right == pytest.approx(round(right), abs=1e-5)


@pytest.mark.parametrize("task", ["detection", pytest.param("segmentation", marks=pytest.mark.slow)])
def test_two_processes_train_as_one_where_a_rank_has_images_without_anything(tmp_path, task):
    """Boxes are of uneven number on both, so a mean of each rank's own mean would be another."""
    alone = [one for (one,) in start(tmp_path / "one", world=1, kind=task)]
    two = start(tmp_path / "two", world=2, kind=task)
    batches = [KeyedBatchSampler(len(dense.COUNTS), 8, True, seed=0, rank=rank, world=2) for rank in (0, 1)]
    shares = [[sum(dense.COUNTS[index] for _, index in batch) for batch in sampler] for sampler in batches]
    assert all(one != other for one, other in zip(*shares, strict=True))
    assert 0 in shares[1]  # all of its images
    assert len(alone) == len(two) == 3
    for ranks, one in zip(two, alone, strict=True):
        assert difference(*ranks) == 0.0
        assert difference(ranks[0], one) < 1e-5
        assert ranks[0]["val"] == ranks[1]["val"] == pytest.approx(one["val"], abs=1e-5)
    assert difference(alone[0], alone[2]) > 1e-3
