"""LoRA and DoRA by peft, put into a backbone as it is: its stages hold them beside the weights that they change."""

import re
from collections.abc import Collection
from contextlib import nullcontext
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from ftlab.adapters.settings import AdapterSettings
from ftlab.errors import UserError, choices
from ftlab.model import Model, place_of

# Layers of these classes are never called: what holds them reads their weights.
READ_ONLY = (nn.modules.linear.NonDynamicallyQuantizableLinear,)
CONV1D = "Conv1D"  # a linear layer of transformers' GPT-2, whose class is not imported for images


def put_into(model: Model, settings: AdapterSettings, trained: Collection[str]) -> frozenset[str]:
    """Adapt layers of the backbone in the stages `trained` (addresses); the names of the new parameters.

    What the network gives stays as it is until a step has been taken: B begins at 0.

    Raises: UserError where peft is not installed, and for layers that are not there or cannot be adapted.
    """
    if find_spec("peft") is None:
        raise UserError(f"adapters={settings.name}: needs peft: pip install 'ftlab[adapters]'")
    import peft

    network = model.backbone.model
    wanted = chosen(model, settings, trained)
    before = {id(parameter) for parameter in model.parameters()}
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # it only divides it
        lora_dropout=settings.dropout,
        target_modules="|".join(map(re.escape, wanted)),  # of a list it also takes paths that end so
        use_dora=settings.decomposed,
    )
    is_meta = next(network.parameters()).is_meta
    with torch.device("meta") if is_meta else nullcontext():
        try:
            peft.inject_adapter_in_model(config, network)
        except (ValueError, NotImplementedError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"adapters={settings.name}: {model.backbone.name}: peft says '{reason}'") from error
    model.backbone.follow(wanted)
    return frozenset(name for name, parameter in model.named_parameters() if id(parameter) not in before)


def chosen(model: Model, settings: AdapterSettings, trained: Collection[str]) -> list[str]:
    """Paths inside of the network of the layers that are adapted. Raises: UserError if there are none."""
    stages = {name: stage.name for stage in model.stages for name in stage.parameters}
    places = {
        path: place_of(f"backbone.model.{path}")
        for path, module in model.backbone.model.named_modules()
        if is_adaptable(module)
        and stages.get(f"backbone.model.{path}.weight", "").startswith("backbone/")
        and stages[f"backbone.model.{path}.weight"] in trained
    }
    if not places:
        where = ", ".join(sorted(stage for stage in trained if stage.startswith("backbone/"))) or "which stays frozen"
        raise UserError(
            f"adapters={settings.name}: no layer can be adapted in what trains of the backbone {model.backbone.name} "
            f"({where}); let more of it train, or use adapters=none"
        )
    if settings.layers is None:
        return by_kind({path: model.backbone.model.get_submodule(path) for path in places})
    for pattern in settings.layers:
        if not any(fnmatchcase(place, pattern) for place in places.values()):
            known = f"{choices(pattern, list(places.values())[:40])}"
            raise UserError(f"adapters.layers: pattern '{pattern}' matches no layer that trains; {known}")
    return [path for path, place in places.items() if any(fnmatchcase(place, one) for one in settings.layers)]


def is_adaptable(module: nn.Module) -> bool:
    """Grouped convolutions are left out: a matrix of low rank mixes channels, which they keep apart."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1
    return (isinstance(module, nn.Linear) and not isinstance(module, READ_ONLY)) or type(module).__name__ == CONV1D


def by_kind(layers: dict[str, Any]) -> list[str]:
    """Every linear layer; of a network without any every convolution."""
    return [path for path, one in layers.items() if not isinstance(one, nn.Conv2d)] or [*layers]


def merge(model: Model) -> None:
    """Add what the adapters have learned to the weights that they change, and take them out: the network is then one
    of its own library again. Where there are none, nothing is done."""
    found = [(path, part) for path, part in model.backbone.model.named_modules() if hasattr(part, "get_base_layer")]
    for path, part in found:
        part.merge(safe_merge=True)
        parent, _, name = path.rpartition(".")
        setattr(model.backbone.model.get_submodule(parent), name, part.get_base_layer())
    model.backbone.follow([path for path, _ in found])
