"""Tests of learning rates: short training of copies at rising rates, after which nothing is as if it had been.

A loss is told as that of the first batch, and what the steps have changed: the loss of each batch less what the
untouched network has of the same batch. So batches that are hard do not look like rates that are wrong.

Each phase begins with the pretrained weights and, where the run begins with a fit in closed form, the head of that.
(Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.)
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from ftlab.assembly import Parts
from ftlab.backbones.depthwise import by_taps
from ftlab.backbones.layout import channels_last
from ftlab.batch import Batch
from ftlab.data.module import DataModule
from ftlab.data.sampling import key, seed_all
from ftlab.errors import UserError
from ftlab.freezing import Freezing, freeze
from ftlab.inputs.images.transforms import mix
from ftlab.model import Model
from ftlab.rates.suggesting import is_blown, rising, smoothed, suggestions
from ftlab.run_settings import RunSettings
from ftlab.strategies.base import Phase
from ftlab.training.phases.convex import below_of, fit_layer
from ftlab.training.phases.features import FeatureStore, compute
from ftlab.training.trials.batch_size import alone
from ftlab.training.trials.estimate import moved
from ftlab.training.trials.out_of_memory import out_of_memory

LOW, HIGH, STEPS = 1e-5, 1.0, 100
CHOSEN = "valley"  # the suggestion that optimizer.lr=auto takes


@dataclass(frozen=True)
class Curve:
    """What a phase's losses were at rising values of optimizer.lr; its stages keep the ratios of their rates."""

    phase: str
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of the batches of each step

    @property
    def smoothed(self) -> list[float]:
        return smoothed(self.losses)

    @property
    def suggested(self) -> dict[str, float]:
        return suggestions(self.rates, self.smoothed)


def range_tests(
    parts: Parts,
    data: DataModule,
    settings: RunSettings,
    phases: Sequence[Phase],
    rates: tuple[float, float, int] = (LOW, HIGH, STEPS),
) -> list[Curve]:
    """One curve a phase of gradient descent. `rates`: the lowest and the highest value of optimizer.lr, and how many.

    Raises: UserError where there is no such phase, or memory runs out.
    """
    if not any(phase.fit == "gradient" for phase in phases):
        raise UserError("optimizer.lr: no phase trains by gradient descent, so no learning rate is of use")
    trainer = alone(settings.trainer)
    device = trainer.strategy.root_device
    cuda, each = [device] if device.type == "cuda" else [], settings.trainer.accumulate_grad_batches
    with torch.random.fork_rng(devices=cuda), out_of_memory(settings):
        model = begun(parts, data, trainer)
        found = []
        for number, phase in enumerate(phases):
            if phase.fit == "gradient":
                trial, blend = Trial(parts, model, phase, trainer, settings), mixing(parts)
                batches = (blend(moved(batch, trainer)) for batch in endless(data))
                with by_taps(trial.model), channels_last(trial.model, device), channels_last(trial.untouched, device):
                    curve = _tested(trial, batches, phase.name, rising(*rates), each, key(settings.seed, number))
                found.append(curve)
        return found


def mixing(parts: Parts) -> Callable[[Batch], Batch]:
    return partial(mix, augment=parts.augment, num_classes=parts.spec.target.one_hot)


def begun(parts: Parts, data: DataModule, trainer: Trainer) -> Model:
    """A copy of the network as the first phase of gradient descent finds it."""
    device = trainer.strategy.root_device
    model: Model = copy.deepcopy(parts.model).to(device)
    first, layer = parts.phases[0], model.head.last_layer
    if first.fit != "convex" or not isinstance(layer, nn.Linear):
        return model
    samples = data.samples("train")
    loader = data.loader("train", shuffle=True)
    loader.batch_sampler.plain = True  # type: ignore[union-attr]
    fresh = parts.model.backbone.chance if parts.model.backbone.loaded.source == "random" else 0
    with TemporaryDirectory() as folder:
        store = FeatureStore(len(samples), layer.in_features, Path(folder) / "features.bin")
        compute(model, layer, loader, store, partial(moved, trainer=trainer), trainer.precision_plugin.forward_context)
        fit_layer(layer, parts.task, store.rows, samples.targets, first.C, fresh, below_of(model))
        store.close()
    return model


class Trial:
    """A copy of the network that a phase trains, and one that stays as it was."""

    def __init__(self, parts: Parts, start: Model, phase: Phase, trainer: Trainer, settings: RunSettings) -> None:
        self.plugin, self.device = trainer.precision_plugin, trainer.strategy.root_device
        self.model, self.untouched = copy.deepcopy(start), copy.deepcopy(start)
        self.held = [freeze(one, phase.trainable, phase.batchnorm) for one in (self.model, self.untouched)]
        for one in (self.model, self.untouched):
            self.plugin.convert_module(one)
        self.task = copy.deepcopy(parts.task).to(self.device)
        self.optimizer = parts.optimizer.build(self.model)
        self.shares = {stage: parts.rates[stage] * phase.rates[stage] for stage in phase.descending}
        self.most = settings.trainer.gradient_clip_val

    def losses(self, batch: Batch, seed: int) -> tuple[float, float, float]:
        """(sum of the losses, that of the untouched network, weight) of a batch, with the same dropout."""
        seed_all(seed, self.device)
        with torch.no_grad():
            before, _ = self._loss(self.untouched, self.held[1], batch)
        seed_all(seed, self.device)
        loss, weight = self._loss(self.model, self.held[0], batch)
        loss.backward()
        return float(loss.detach()), float(before), float(weight)

    def _loss(self, model: Model, held: Freezing, batch: Batch) -> tuple[Tensor, Tensor]:
        model.train()
        held.enforce()
        with self.plugin.forward_context():
            return self.task.training_loss(model(batch), batch)

    def descend(self, rate: float, weight: float) -> None:
        """A step by the mean gradient, as FineTuner makes it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.shares.get(group["stage"], 0.0)
        learning = [p for p in self.model.parameters() if p.grad is not None]
        torch._foreach_div_([p.grad for p in learning if p.grad is not None], max(weight, 1e-12))
        if self.most:
            nn.utils.clip_grad_norm_(learning, self.most)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _tested(trial: Trial, batches: Iterator[Batch], phase: str, rates: Iterable[float], each: int, seed: int) -> Curve:
    """`each`: batches of an optimizer step."""
    curve, first = Curve(phase), None
    for step, rate in enumerate(rates):
        now = before = weight = 0.0
        for part in range(each):
            found = trial.losses(next(batches), key(seed, step, part, 0))
            now, before, weight = now + found[0], before + found[1], weight + found[2]
        if weight:
            first = before / weight if first is None else first
            curve.rates.append(rate)
            curve.losses.append(first + (now - before) / weight)
            if is_blown(curve.smoothed):
                break
        trial.descend(rate, weight)
    return curve


def endless(data: DataModule) -> Iterator[Batch]:
    """Training batches of the first epoch, and of the next ones where that is short."""
    loader = data.loader("train", shuffle=True)
    for epoch in count():
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        yield from loader
