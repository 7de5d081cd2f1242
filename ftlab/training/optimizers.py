"""Optimizers over groups that all exist from step 0: one for each stage, with and without weight decay."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ftlab.model import Model

MakeOptimizer = Callable[[list[dict[str, Any]]], Optimizer]


def groups(model: Model, lr: float, weight_decay: float, decay_norms_and_biases: bool) -> list[dict[str, Any]]:
    """A group a stage and weight decay: {stage, params, names, lr, weight_decay}; every parameter in exactly one.

    Norms and biases (parameters of one dimension) get no weight decay unless asked; a head may have one of its own.
    """
    parameters = dict(model.named_parameters())
    found: list[dict[str, Any]] = []
    for stage in model.stages:
        own = model.head.weight_decay if stage.name.startswith("head/") else None
        by_decay: dict[float, list[str]] = {}
        for name in stage.parameters:
            plain = parameters[name].ndim <= 1 and not decay_norms_and_biases
            by_decay.setdefault(0.0 if plain else weight_decay if own is None else own, []).append(name)
        for decay, names in by_decay.items():
            params = [parameters[name] for name in names]
            found.append({"stage": stage.name, "params": params, "names": names, "lr": lr, "weight_decay": decay})
    return found


class OptimizerSettings:
    """What an option of conf/optimizer makes: the base rate and how to build the optimizer of a model."""

    def __init__(
        self, kind: type[Optimizer], lr: float, weight_decay: float, decay_norms_and_biases: bool, **settings: Any
    ) -> None:
        self.kind, self.lr, self.weight_decay = kind, lr, weight_decay
        self.decay_norms_and_biases = decay_norms_and_biases
        self.settings = settings

    def groups(self, model: Model) -> list[dict[str, Any]]:
        return groups(model, self.lr, self.weight_decay, self.decay_norms_and_biases)

    def build(self, model: Model) -> Optimizer:
        made = self.groups(model)
        names = [{k: g.pop(k) for k in ("stage", "names")} for g in made]
        optimizer = self.kind(made, **self.settings)
        for group, extra in zip(optimizer.param_groups, names, strict=True):
            group["stage"] = extra["stage"]
        return optimizer


def adamw(lr: float, weight_decay: float, decay_norms_and_biases: bool, betas: list[float], eps: float) -> OptimizerSettings:
    """Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"."""
    return OptimizerSettings(AdamW, lr, weight_decay, decay_norms_and_biases, betas=_pair(betas), eps=eps)


def adam(lr: float, weight_decay: float, decay_norms_and_biases: bool, betas: list[float], eps: float) -> OptimizerSettings:
    """Source: Kingma and Ba 2015, "Adam"; weight decay here is added to the gradient, unlike adamw's."""
    return OptimizerSettings(Adam, lr, weight_decay, decay_norms_and_biases, betas=_pair(betas), eps=eps)


def sgd(lr: float, weight_decay: float, decay_norms_and_biases: bool, momentum: float, nesterov: bool) -> OptimizerSettings:
    """Stochastic gradient descent with momentum."""
    return OptimizerSettings(SGD, lr, weight_decay, decay_norms_and_biases, momentum=momentum, nesterov=nesterov)


def rmsprop(
    lr: float, weight_decay: float, decay_norms_and_biases: bool, alpha: float, momentum: float, eps: float
) -> OptimizerSettings:
    """Source: Hinton 2012, lecture 6e of "Neural Networks for Machine Learning"."""
    return OptimizerSettings(RMSprop, lr, weight_decay, decay_norms_and_biases, alpha=alpha, momentum=momentum, eps=eps)


def _pair(values: list[float]) -> tuple[float, float]:
    from ftlab.errors import UserError

    if len(values) != 2:
        raise UserError(f"optimizer.betas={values}: expected two numbers")
    return float(values[0]), float(values[1])
