"""Optimizers over groups that all exist from step 0: one for each stage, with and without weight decay."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ftlab.errors import UserError
from ftlab.model import Model

# One call for all parameters: a step of the default network 11.2 -> 4.1 ms (of 320 for the whole training step), of a
# head 0.20 -> 0.14, with one thread. SGD gains 3 ms, but torch's fused one fails where a parameter gets its first
# gradient later than others of its group. On a GPU none was measured, and with 16-mixed it would scale by itself.
FUSED = (Adam, AdamW)


@dataclass(frozen=True)
class Anchor:
    """Where parameters are drawn back to."""

    strength: float  # part of the way, times the rate of its group, that each step takes a parameter back
    start: dict[str, Tensor]  # by the names of the parameters


class Pull:
    """What does so, after each step of an optimizer."""

    def __init__(self, anchor: Anchor, model: nn.Module) -> None:
        own = dict(model.named_parameters())
        self.strength = anchor.strength
        self.start = {own[name]: value for name, value in anchor.start.items()}

    @torch.no_grad()
    def __call__(self, optimizer: Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            moved = [p for p in group["params"] if p.grad is not None and p in self.start]
            if moved:
                start = [self.start[p].to(p.device, p.dtype) for p in moved]
                torch._foreach_lerp_(moved, start, min(1.0, group["lr"] * self.strength))


@dataclass(frozen=True)
class OptimizerSettings:
    """What an option of conf/optimizer makes: the base rate and how to build the optimizer of a model."""

    kind: type[Optimizer]
    lr: float
    weight_decay: float
    decay_norms_and_biases: bool
    settings: dict[str, Any]
    is_sought: bool = False  # whether `lr` is 1 until a rate is found
    anchor: Anchor | None = None

    def at(self, rate: float) -> "OptimizerSettings":
        """With the rate that was sought, if one was."""
        return replace(self, lr=rate, is_sought=False) if self.is_sought else self

    def build(self, model: Model) -> Optimizer:
        local = on_cpu(model)
        fused: dict[str, Any] = {"fused": True} if self.kind in FUSED and local else {}
        optimizer = self.kind(groups(model, self), **self.settings, **fused)
        if self.anchor is not None:
            optimizer.register_step_post_hook(Pull(self.anchor, model))
        if local:
            # Before each step torch asks whether a GPU is recording a graph, and looks for a driver to know: 0.3 ms
            # where torch could use a GPU and there is none. On a CPU there is nothing to record.
            optimizer._accelerator_graph_capture_health_check = nothing  # type: ignore[method-assign]
            # A fused one could unscale by itself, so Lightning refuses to clip; here no scaler asks it to.
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        return optimizer


def nothing() -> None:
    """In the place of a check; a function of a module, since an optimizer is copied and pickled."""


def on_cpu(model: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in model.parameters())


def groups(model: Model, optimizer: OptimizerSettings) -> list[dict[str, Any]]:
    """A group a stage and weight decay: {stage, params, lr, weight_decay}; every parameter that may train in one.

    Norms, biases (parameters of one dimension) and what the backbone's library exempts get no weight decay unless
    asked, nor does what is drawn back to where it began; a head may have one of its own.
    """
    parameters = dict(model.named_parameters())
    exempt = {f"backbone.model.{name}" for name in model.backbone.no_weight_decay}
    drawn = optimizer.anchor.start if optimizer.anchor else {}
    found: list[dict[str, Any]] = []
    for stage, names in model.free.items():
        own = model.head.weight_decay if stage.startswith("head/") else None
        decay = optimizer.weight_decay if own is None else own
        by_decay: dict[float, list[nn.Parameter]] = {}
        for name in names:
            plain = (parameters[name].ndim <= 1 or name in exempt) and not optimizer.decay_norms_and_biases
            by_decay.setdefault(0.0 if plain or name in drawn else decay, []).append(parameters[name])
        for decay, params in by_decay.items():
            found.append({"stage": stage, "params": params, "lr": optimizer.lr, "weight_decay": decay})
    return found


def free() -> None:
    """No anchor."""


def l2_sp(strength: float) -> float:
    """Source: Xuhong et al. 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks"; apart
    from the gradient, as Loshchilov and Hutter 2019 do it with the decay to 0."""
    return strength


def anchored(
    settings: OptimizerSettings, strength: float | None, model: Model, added: Collection[str]
) -> OptimizerSettings:
    """`settings` by which the backbone is drawn to what it is now. added: names of adapters, which begin at nothing.

    Raises: UserError for a backbone whose weights are random, and one of which nothing pretrained trains.
    """
    if strength is None:
        return settings
    if model.backbone.loaded.source == "random":
        raise UserError("anchor=l2_sp: the backbone has random weights, to which nothing should go back; leave it out")
    free = {n for stage, names in model.free.items() if stage.startswith("backbone/") for n in names} - set(added)
    start = {name: p.detach().clone() for name, p in model.named_parameters() if name in free}
    if not start:
        raise UserError("anchor=l2_sp: no pretrained parameter of the backbone may train; leave it out")
    return replace(settings, anchor=Anchor(strength, start))


def adamw(
    lr: float, weight_decay: float, decay_norms_and_biases: bool, betas: list[float], eps: float
) -> OptimizerSettings:
    """Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"."""
    return OptimizerSettings(AdamW, lr, weight_decay, decay_norms_and_biases, {"betas": _pair(betas), "eps": eps})


def adam(
    lr: float, weight_decay: float, decay_norms_and_biases: bool, betas: list[float], eps: float
) -> OptimizerSettings:
    """Source: Kingma and Ba 2015, "Adam"; weight decay here is added to the gradient, unlike adamw's."""
    return OptimizerSettings(Adam, lr, weight_decay, decay_norms_and_biases, {"betas": _pair(betas), "eps": eps})


def sgd(
    lr: float, weight_decay: float, decay_norms_and_biases: bool, momentum: float, nesterov: bool
) -> OptimizerSettings:
    """Stochastic gradient descent with momentum."""
    return OptimizerSettings(
        SGD, lr, weight_decay, decay_norms_and_biases, {"momentum": momentum, "nesterov": nesterov}
    )


def rmsprop(
    lr: float, weight_decay: float, decay_norms_and_biases: bool, alpha: float, momentum: float, eps: float
) -> OptimizerSettings:
    """Source: Hinton 2012, lecture 6e of "Neural Networks for Machine Learning"."""
    return OptimizerSettings(
        RMSprop, lr, weight_decay, decay_norms_and_biases, {"alpha": alpha, "momentum": momentum, "eps": eps}
    )


def _pair(values: list[float]) -> tuple[float, float]:
    if len(values) != 2:
        raise UserError(f"optimizer.betas={values}: expected two numbers")
    return float(values[0]), float(values[1])
