"""The one definition of "frozen": no gradient, evaluation mode, unchanged buffers.

requires_grad=False alone does not freeze: running statistics drift, dropout and drop path stay active, and an optimizer
moves a parameter whose gradient is zero instead of None.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ftlab.model import Model
from ftlab.strategies.base import BatchNorm, Fit

TRAINING = attrgetter("training")


def owners(model: Model) -> dict[str, set[str]]:
    """The stages that each module belongs to, by the module's name.

    A module belongs to the stages of the parameters below it. One without parameters (dropout, drop path) belongs to
    its closest ancestor that lies in one stage, else to the stage of the parameters registered before it. Where the
    backbone says that its containers rest, what of it holds several stages belongs to the first one alone.
    """
    stages, parameters = model.stages, dict(model.named_parameters())
    stage_of = {id(parameters[name]): stage.name for stage in stages for name in stage.parameters}
    own = {name: [stage_of[id(p)] for p in m.parameters(recurse=False)] for name, m in model.named_modules()}
    below: dict[str, set[str]] = {name: set() for name in own}
    for name, its in own.items():
        for end in (0, *(place for place, letter in enumerate(name) if letter == "."), len(name)):
            below[name[:end]].update(its)
    found: dict[str, set[str]] = {}
    first = before = {stages[0].name}
    for name, its in own.items():
        parent = found[name.rpartition(".")[0]] if name else set()
        rests = len(below[name]) > 1 and name.startswith("backbone.") and model.backbone.containers_rest
        found[name] = first if rests else below[name] or (parent if len(parent) == 1 else before)
        before = {its[-1]} if its else before
    return found


def resting(model: Model, trainable: Collection[str], batchnorm: BatchNorm) -> list[nn.Module]:
    """The modules that must be in evaluation mode while `trainable` stages train: the frozen ones, and every BatchNorm
    under the policy `frozen`."""
    modules = dict(model.named_modules())
    return [
        modules[name]
        for name, stages in owners(model).items()
        if stages.isdisjoint(trainable) or (batchnorm == "frozen" and isinstance(modules[name], _BatchNorm))
    ]


@dataclass
class Freezing:
    """What is frozen now, and the means to keep it so."""

    resting: list[nn.Module]
    frozen: list[nn.Parameter]

    def enforce(self) -> None:
        """Put the frozen modules back into evaluation mode, whoever has called train() since. Cheap: once a step."""
        if True not in map(TRAINING, self.resting):  # to write it is 20 times as slow as to read it
            return
        for module in self.resting:
            module.training = False

    def release_gradients(self) -> None:
        """Frozen parameters have the gradient None, never zero: an optimizer skips None and moves zero."""
        for parameter in self.frozen:
            parameter.grad = None


def freeze(model: Model, trainable: Collection[str], batchnorm: BatchNorm, fit: Fit = "gradient") -> Freezing:
    """Make exactly the stages `trainable` (addresses) train and everything else frozen, also what of them is `fixed`.

    Under a convex fit the modules that train rest too: its features are those of evaluation.
    """
    names = {name for stage, own in model.free.items() if stage in trainable for name in own}
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    resting_now = resting(model, () if fit == "convex" else trainable, batchnorm)
    held = Freezing(resting_now, [p for p in model.parameters() if not p.requires_grad])
    held.enforce()
    held.release_gradients()
    return held


def forget(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Drop the optimizer's state of `parameters`: a thawed one must not move by the momentum of its earlier life."""
    for parameter in parameters:
        optimizer.state.pop(parameter, None)
