"""The checks of trust.py, each written once, for any Way (ways.py): train, measure, say whether that is right."""

import logging
import os
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from timm.layers import DropPath
from torch import Tensor, multiprocessing, nn
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.model import Model
from ftlab.run import loaders
from ftlab.run_settings import typed
from tests.benchmarks.ways import (
    BLOCKS,
    HEAD,
    TOP,
    Job,
    Way,
    ftlab_parts,
    ftlab_settings,
    network,
)

ALL = BLOCKS
Cell = tuple[str, bool | None]  # what was measured, and whether it is right; None: the way has no such thing
State = dict[str, Tensor]
UNEVEN = (1.0, 0.2, 5.0, 0.5)


@contextmanager
def quiet() -> Iterator[None]:
    """Without banners, and without warnings: the checks look at what is computed."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def batches(job: Job, split: str) -> list[Batch]:
    return list(loaders(ftlab_parts(job), typed(ftlab_settings(job))).loader(split, False))


class Snapshots(Callback):
    """The weights and buffers before the run and at the end of each epoch."""

    def __init__(self, model: Model) -> None:
        self.model, self.states = model, [state(model)]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.states.append(state(self.model))


def state(model: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def farthest(a: State, b: State, part: str = "") -> float:
    """The largest difference of an element, over all tensors whose names hold `part`."""
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a if part in name)


# --- in one process


def buffers_stay(way: Way, folder: Path) -> Cell:
    run = way.build(Job((HEAD, HEAD), norm="batch"), folder)
    seen = Snapshots(run.model)
    run.fit(seen)
    drift = max(farthest(seen.states[0], seen.states[-1], f"running_{name}") for name in ("mean", "var"))
    return f"{drift:.2g}", drift == 0


class Trunk:
    """At each training step the frozen backbone's output beside that of evaluation mode, and what is active in it."""

    def __init__(self, backbone: nn.Module) -> None:
        self.steps, self.active, self.apart = 0, 0, 0.0
        backbone.register_forward_hook(self.look)

    def look(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        modes = [(m, m.training) for m in module.modules()]
        module.eval()
        expected = module.forward(*inputs)
        for m, training in modes:
            m.training = training
        self.steps += 1
        self.active += any(m.training for m, _ in modes if isinstance(m, nn.Dropout | DropPath))
        self.apart = max(self.apart, float(((output - expected).abs().max() / expected.std()).detach()))


def trunk_as_evaluated(way: Way, folder: Path) -> Cell:
    run = way.build(Job((HEAD, HEAD), norm="batch"), folder)
    trunk = Trunk(run.model.backbone.model)  # type: ignore[arg-type]
    run.fit()
    return f"{trunk.apart:.2g}", trunk.apart == 0


def dropout_rests(way: Way, folder: Path) -> Cell:
    run = way.build(Job((HEAD, HEAD), drop=0.3), folder)
    trunk = Trunk(run.model.backbone.model)  # type: ignore[arg-type]
    run.fit()
    return f"{trunk.active} of {trunk.steps} steps", trunk.active == 0


class Trainable(Callback):
    """How many tensors of the backbone require a gradient at the first step."""

    count: int | None = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        names = [name for name, p in pl_module.named_parameters() if "backbone" in name and p.requires_grad]
        self.count = len(names) if self.count is None else self.count


class KilledError(Exception):
    pass


class Kill(Callback):
    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == 3:
            raise KilledError


def resume_after_the_thaw(way: Way, folder: Path) -> Cell:
    """Thaws in the second and third epoch, the kill after the latter; two more epochs follow."""
    job = Job((HEAD, TOP, ALL, ALL, ALL))
    whole = way.build(job, folder / "whole").fit()
    killed = way.build(job, folder / "killed")
    with suppress(KilledError):
        killed.fit(Kill())
    seen = Trainable()
    again = way.build(job, folder / "killed").fit(seen, checkpoint=killed.last)
    tensors = len(list(again.model.backbone.parameters()))
    apart = farthest(state(whole.model), state(again.model))
    return f"{seen.count} of {tensors} tensors, {apart:.2g}", seen.count == tensors and apart == 0


def equal_values_all_train(way: Way, folder: Path) -> Cell:
    run = way.build(Job((ALL,), normed_head=True), folder)
    before = state(run.model)
    run.fit()
    after = state(run.model)
    names = [name for name, _ in run.model.named_parameters()]
    moved = sum(not torch.equal(before[name], after[name]) for name in names)
    return f"{moved} of {len(names)} tensors", moved == len(names)


def last_window(way: Way, folder: Path) -> Cell:
    """One batch of 8 is the whole epoch: a window of 2 batches that stays incomplete."""
    job = Job((HEAD,), train=8, accumulate=2, momentum=0.0)
    run = way.build(job, folder)
    before, true = state(run.model), gradient(job)
    run.fit()
    step = before["head.fc.weight"] - run.model.state_dict()["head.fc.weight"]
    share = float(step.norm() / (job.lr * true.norm()))
    return f"{share:.2f}", abs(share - 1) < 1e-3


def gradient(job: Job) -> Tensor:
    """Of the mean loss over the training split, for the head's weights, by hand."""
    model = network(job).eval()
    (batch,) = batches(job, "train")
    functional.cross_entropy(model(batch), batch.targets).backward()
    return model.get_parameter("head.fc.weight").grad  # type: ignore[return-value]


class NoGradient(Callback):
    """From its epoch on the loss does not depend on the backbone, whose gradients are then zero, not None."""

    def __init__(self, model: Model, epoch: int) -> None:
        self.model, self.epoch = model, epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == self.epoch:
            self.model.backbone.model.register_forward_hook(lambda m, i, output: output * 0.0)  # type: ignore[union-attr]


def old_momentum(way: Way, folder: Path) -> Cell:
    if not way.refreezes:
        return "n/a", None
    run = way.build(Job((ALL, HEAD, ALL)), folder)
    seen = Snapshots(run.model)
    run.fit(NoGradient(run.model, 2), seen)
    moved = farthest(seen.states[2], seen.states[3], "backbone")
    return f"{moved:.2g}", moved == 0


def evaluation_freezes_nothing(way: Way, folder: Path) -> Cell:
    run = way.build(Job((HEAD, ALL), val=13), folder)
    run.trainer.validate(run.module, verbose=False)
    tensors = list(run.model.parameters())
    frozen = sum(not p.requires_grad for p in tensors)
    return f"{frozen} of {len(tensors)} tensors", frozen == 0


# --- in two processes (gloo, CPU)

THAW = Job((HEAD, TOP, ALL), world=2)
THIRTEEN = Job((HEAD,), val=13, world=2)
WEIGHTED = Job((HEAD,), train=40, batch_size=40, class_weights=UNEVEN, momentum=0.0, world=2)


class Counted(Callback):
    """The samples that this process validates on."""

    samples = 0

    def on_validation_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.samples += len(batch if hasattr(batch, "targets") else batch[1])


def one_rank(rank: int, port: int, folder: Path, way: Way) -> None:
    """What process `rank` of two saw of the three jobs, to a file."""
    torch.set_num_threads(1)  # the processes are there already: Lightning must not start any
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    with quiet():
        thaw = way.build(THAW, folder / "thaw")
        phases = Snapshots(thaw.model)
        thaw.fit(phases)
        thirteen, counted = way.build(THIRTEEN, folder / "thirteen"), Counted()
        thirteen.fit(counted)
        weighted = way.build(WEIGHTED, folder / "weighted").fit()
    seen = {"phases": phases.states[1:], "samples": counted.samples, "accuracy": thirteen.accuracy()}
    torch.save({**seen, "model": state(thirteen.model), "weighted": state(weighted.model)}, folder / f"{rank}.pt")


@cache
def two_ranks(way: Way) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        multiprocessing.spawn(one_rank, (port, Path(name), way), nprocs=2)  # type: ignore[attr-defined]
        return [torch.load(Path(name) / f"{rank}.pt", weights_only=True) for rank in range(2)]


def ranks_are_equal(way: Way, folder: Path) -> Cell:
    first, second = (rank["phases"] for rank in two_ranks(way))
    apart = [farthest(a, b) for a, b in zip(first, second, strict=True)]
    return " / ".join(f"{value:.2g}" for value in apart), not any(apart)


def thirteen_samples(way: Way, folder: Path) -> Cell:
    """The accuracy that is told beside that of the same weights on the 13 samples in this process."""
    ranks = two_ranks(way)
    model = network(THIRTEEN).eval()
    model.load_state_dict(ranks[0]["model"])
    hits = sum(int((model(batch).argmax(1) == batch.targets).sum()) for batch in batches(THIRTEEN, "val"))
    samples, told = sum(rank["samples"] for rank in ranks), ranks[0]["accuracy"]
    right = samples == 13 and abs(told - hits / 13) < 1e-6
    return f"{samples}, {told:.3f} / {hits / 13:.3f}", right


def weighted_loss(way: Way, folder: Path) -> Cell:
    """One step on one batch of all samples, so that their order does not matter: 2 processes against 1."""
    job = replace(WEIGHTED, world=1)
    before = state(network(job))
    one = state(way.build(job, folder).fit().model)
    share = farthest(one, two_ranks(way)[0]["weighted"]) / farthest(one, before)
    return f"{share:.2g}", share < 1e-4
