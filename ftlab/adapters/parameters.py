"""Which parameters of a stage that trains do train: all, those of norms, biases, or the adapters beside them alone."""

from collections.abc import Collection, Iterator
from typing import Literal

from torch import nn

from ftlab.errors import UserError
from ftlab.model import Model

Which = Literal["auto", "all", "bias", "norm"]


def fixed(model: Model, which: Which, added: Collection[str] = ()) -> frozenset[str]:
    """The names of the backbone's parameters that never train, whichever stage does. `added`: those of adapters.

    auto: all train where there are no adapters, else none but theirs. bias: Ben Zaken et al. 2022, "BitFit". norm:
    Frankle et al. 2021, "Training BatchNorm and Only BatchNorm".

    Raises: UserError for a backbone that has none of the kind, and where adapters would be of no use.
    """
    if which == "all" and added:
        raise UserError("parameters=all: trains what adapters leave frozen; use adapters=none, or parameters=auto")
    if which == "all" or (which == "auto" and not added):
        return frozenset()
    own = {name for stage in model.stages if stage.name.startswith("backbone/") for name in stage.parameters}
    free = {"bias": biases, "norm": norms}[which](model.backbone) if which in ("bias", "norm") else ()
    kept = {f"backbone.{name}" for name in free} & own
    if which != "auto" and not kept:
        raise UserError(f"parameters={which}: the backbone {model.backbone.name} has none of these")
    return frozenset(own - kept - set(added))


def biases(backbone: nn.Module) -> Iterator[str]:
    """Those of norms too."""
    return (name for name, _ in backbone.named_parameters() if name.rpartition(".")[2].endswith("bias"))


def norms(backbone: nn.Module) -> Iterator[str]:
    """Weights and biases of layers whose class, or one that it stands on, says Norm."""
    for path, module in backbone.named_modules():
        if any("norm" in kind.__name__.lower() for kind in type(module).__mro__):
            yield from (f"{path}.{name}" for name, _ in module.named_parameters(recurse=False))
