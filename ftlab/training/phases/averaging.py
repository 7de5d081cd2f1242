"""The mean of the weights over the steps of an epoch or phase: what is judged, saved and kept; training goes on apart.

Where features are pretrained, the steps of an adaptive optimizer lead far about before they lead anywhere: after an
epoch behind a fitted head features have moved by more than their own deviation, and the mean of the way is better than
its end. (Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; Izmailov et al. 2018,
"Averaging Weights Leads to Wider Optima and Better Generalization".)
"""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from ftlab.strategies.averages import Average, OfEpoch
from ftlab.strategies.base import Phase, current
from ftlab.training.finetuner import FineTuner

Weights = dict[str, Tensor]


class Averaging(Callback):
    """Beside Unfreezing and before what looks at weights: from an epoch's last step to the next one's first the network
    holds the mean. A phase begins with what it finds there; within one, training goes on where it was."""

    def __init__(self, average: Average | None = None) -> None:
        """average: of all phases of gradient descent; None: as each says itself."""
        self.average = average
        self.steps = 0  # that the mean is of
        self.rollbacks = 0  # before these steps
        self.mean: Weights = {}  # in 32 bits
        self.last: Weights = {}  # where training goes on, while the network holds the mean

    def state_dict(self) -> dict[str, Any]:
        """Of a run that does not average nothing is saved."""
        held = {"steps": self.steps, "rollbacks": self.rollbacks, "mean": self.mean, "last": self.last}
        return held if self.mean or self.last else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def of(self, phase: Phase) -> Average | None:
        if self.average is not None and phase.fit == "gradient":
            return self.average
        return OfEpoch() if phase.averages else None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        losses = pl_module.losses
        goes_on = current(pl_module.plan.phases, losses).first_epoch < len(losses)  # no phase begins
        if goes_on:
            put(pl_module.model, self.last)
        self.last = {}
        rule = self.of(pl_module.phase)
        if rule is None or rule.each_epoch or not goes_on:
            self.steps, self.mean = 0, {}

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: FineTuner, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        rule = self.of(pl_module.running)
        if rule is None:
            return
        done = batch_idx + 1
        is_last = done == trainer.num_training_batches
        if is_last or done % trainer.accumulate_grad_batches == 0:
            self._add(pl_module, rule, done / trainer.num_training_batches)
        if is_last:
            self.last = {name: value.detach().clone() for name, value in moving(pl_module.model)}
            put(pl_module.model, self.mean)
            if rule.each_epoch:
                self.steps, self.mean = 0, {}

    @torch.no_grad()
    def _add(self, module: FineTuner, rule: Average, within: float) -> None:
        """Take in the weights of now; those from which a run has gone back do not count. within: of the epoch."""
        rollbacks = sum(event["done"] == "rollback" for event in module.recovery.events)
        if rollbacks != self.rollbacks:
            self.steps, self.rollbacks = 0, rollbacks
        span = current(module.plan.phases, module.losses)
        progress = (len(module.losses) - span.first_epoch + within) / module.running.epochs
        share = rule.share(self.steps, progress) if self.steps else 1.0
        self.steps = 1 if share == 1 else self.steps + 1
        for name, value in moving(module.model):
            if share == 1:
                self.mean[name] = value.detach().float().clone()
            else:
                mean = self.mean[name].to(value.device)  # a checkpoint gives it back on the CPU
                self.mean[name] = mean.lerp_(value.float(), share)


def moving(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What a step changes: parameters that train, and statistics that modules in train mode gather."""
    yield from ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    for path, module in model.named_modules():
        if module.training:
            named = module.named_buffers(path, recurse=False)
            yield from ((name, buffer) for name, buffer in named if buffer.is_floating_point())


@torch.no_grad()
def put(model: nn.Module, weights: Weights) -> None:
    """Set these parameters and buffers of `model`, the others stay."""
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, value in weights.items():
        own[name].copy_(value)
