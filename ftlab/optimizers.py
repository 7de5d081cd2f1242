"""Optimizers over groups that all exist from step 0: one for each stage, with and without weight decay."""

from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ftlab.errors import UserError
from ftlab.model import Model

# One call for all parameters: a step of the default network 11.2 -> 4.1 ms (of 320 for the whole training step), of a
# head 0.20 -> 0.14, with one thread. SGD gains 3 ms, but torch's fused one fails where a parameter gets its first
# gradient later than others of its group. On a GPU none was measured, and with 16-mixed it would scale by itself.
FUSED = (Adam, AdamW)


@dataclass(frozen=True)
class OptimizerSettings:
    """What an option of conf/optimizer makes: the base rate and how to build the optimizer of a model."""

    kind: type[Optimizer]
    lr: float
    weight_decay: float
    decay_norms_and_biases: bool
    settings: dict[str, Any]
    is_sought: bool = False  # whether `lr` is 1 until a rate is found

    def build(self, model: Model) -> Optimizer:
        local = on_cpu(model)
        fused: dict[str, Any] = {"fused": True} if self.kind in FUSED and local else {}
        optimizer = self.kind(groups(model, self), **self.settings, **fused)
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
    asked; a head may have one of its own.
    """
    parameters = dict(model.named_parameters())
    exempt = {f"backbone.model.{name}" for name in model.backbone.no_weight_decay}
    found: list[dict[str, Any]] = []
    for stage, names in model.free.items():
        own = model.head.weight_decay if stage.startswith("head/") else None
        decay = optimizer.weight_decay if own is None else own
        by_decay: dict[float, list[nn.Parameter]] = {}
        for name in names:
            plain = (parameters[name].ndim <= 1 or name in exempt) and not optimizer.decay_norms_and_biases
            by_decay.setdefault(0.0 if plain else decay, []).append(parameters[name])
        for decay, params in by_decay.items():
            found.append({"stage": stage, "params": params, "lr": optimizer.lr, "weight_decay": decay})
    return found


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
