"""What a run will cost, from a few steps of each of its phases on a copy of the network: `ftlab plan cache=auto`."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Trainer

from ftlab.assembly import Parts
from ftlab.backbones.depthwise import by_taps
from ftlab.backbones.layout import channels_last
from ftlab.batch import Batch
from ftlab.cache.before import choices, loaded, look, views
from ftlab.cache.borders import Borders, at_border
from ftlab.cache.decide import KEPT, Choice, Place, groups
from ftlab.cache.probe import Probed
from ftlab.data.module import DataModule
from ftlab.evaluation import on_device
from ftlab.freezing import freeze
from ftlab.reports.estimates import Estimate
from ftlab.run_settings import RunSettings
from ftlab.strategies.base import Phase
from ftlab.training.precision import unrounded
from ftlab.training.trials.batch_size import alone
from ftlab.training.trials.memory import PeakMemory
from ftlab.training.trials.out_of_memory import out_of_memory

STEPS = 3  # the first makes the optimizer's state and is not timed


def estimates(parts: Parts, data: DataModule, settings: RunSettings) -> list[Estimate]:
    """One a phase, by steps on copies of the network.

    Raises: UserError where a phase runs out of memory, or the cache asks for what cannot be.
    """
    trainer = alone(settings.trainer)
    device = trainer.strategy.root_device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), out_of_memory(settings):
        model = copy.deepcopy(parts.model).to(device)
        trainer.precision_plugin.convert_module(model)
        context = unrounded(trainer.precision_plugin)
        probed, _ = look(model, parts.phases, data, parts.cache, lambda batch: moved(batch, trainer), context)
        chosen = choices(probed, data, parts.cache, settings.trainer.num_nodes)
        batch, loading = loaded(data, 0, data.batch_size)
        batch = moved(batch, trainer)
        found = []
        for phase, choice in zip(parts.phases, chosen, strict=True):
            trial = Trial(parts, phase, trainer)
            memory = trial.memory
            step, forward = trial.seconds(batch, choice)
            once = passes(probed, chosen, phase.name)
            found.append(
                Estimate(
                    phase.name,
                    step,
                    memory.increase(),
                    choice,
                    total(
                        phase, choice, data, step, forward / len(batch), loading, once, views(parts.cache, data.augment)
                    ),
                )
            )
            del trial  # else two copies of the network would be there at once
        return found


def moved(batch: Batch, trainer: Trainer) -> Batch:
    return on_device(trainer.precision_plugin.convert_input(batch), trainer.strategy.root_device)


def passes(probed: Probed, chosen: Sequence[Choice], phase: str) -> float:
    """Seconds a sample of the pass at the start of `phase`; 0 where an earlier phase's pass has served it."""
    kept = {choice.phase for choice in chosen if choice.val in KEPT or choice.train in KEPT}
    for group in groups(probed.needs):
        names = [need.phase for need in group if need.phase in kept]
        if names[:1] == [phase]:
            return max(probed.seconds[name] for name in names)
    return 0.0


def total(
    phase: Phase, choice: Choice, data: DataModule, step: float, forward: float, loading: float, once: float, views: int
) -> float:
    """Seconds of a phase; `forward`, `loading` and `once` are of one sample."""
    train, val = data.spec.sizes["train"], data.spec.sizes.get("val", 0)
    variants = 1 if phase.fit == "convex" else views
    before = once * (variants * train * (choice.train in KEPT) + val * (choice.val in KEPT))
    read = loading * (train * (choice.train not in KEPT) + val * (choice.val not in KEPT))
    return before + phase.epochs * (data.batches() * step + val * forward + read)


class Trial:
    """A copy of the network as it trains in one phase."""

    def __init__(self, parts: Parts, phase: Phase, trainer: Trainer) -> None:
        self.phase, self.plugin, self.device = phase, trainer.precision_plugin, trainer.strategy.root_device
        self.memory = PeakMemory(self.device)
        self.model, self.task = copy.deepcopy(parts.model).to(self.device), copy.deepcopy(parts.task).to(self.device)
        self.held = freeze(self.model, phase.trainable, phase.batchnorm, phase.fit)
        self.plugin.convert_module(self.model)
        self.optimizer = parts.optimizer.build(self.model)
        self.live: Callable[[Batch], Batch] = lambda batch: batch
        self.run: Callable[[Batch], Any] = self.model  # in a training step

    def seconds(self, batch: Batch, choice: Choice) -> tuple[float, float]:
        """Of a training step, and of the forward pass of validation."""
        with self._as_in_training(choice):
            step, forward = self._timed(self._step, batch, choice.train), self._timed(self._forward, batch, choice.val)
        return min(step[1:]), min(forward[1:])

    def first_and_next(self, batch: Batch, choice: Choice) -> tuple[float, float]:
        """Seconds of the first training step, and of a later one."""
        with self._as_in_training(choice):
            first, *later = self._timed(self._step, batch, choice.train)
        return first, min(later)

    @contextmanager
    def _as_in_training(self, choice: Choice) -> Iterator[None]:
        if choice.val != "off":
            borders = Borders(self.model)
            border = borders.of(self.phase.trainable)
            assert border is not None, "the choice says so"
            compute, self.model.rest = borders.values(border.names), border.rest
            self.live = lambda batch: at_border(batch, compute(batch))
        with by_taps(self.model), channels_last(self.model, self.device):
            yield

    def _timed(self, run: Callable[[Batch], None], batch: Batch, place: Place) -> list[float]:
        if place in KEPT:
            with unrounded(self.plugin):
                batch = self.live(batch)
        found = []
        for _ in range(STEPS):
            start = time.perf_counter()
            run(self.live(batch) if place == "live" else batch)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            found.append(time.perf_counter() - start)
        return found

    def _step(self, batch: Batch) -> None:
        if self.phase.fit == "convex":
            return self._forward(batch)
        self.model.train()
        self.held.enforce()
        with self.plugin.forward_context():
            loss, weight = self.task.training_loss(self.run(batch), batch)
        (loss / weight).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _forward(self, batch: Batch) -> None:
        self.model.eval()
        with torch.no_grad(), self.plugin.forward_context():
            self.model(batch)
