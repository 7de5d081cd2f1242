"""What trains when, as tables: phase x stage x rate, before anything runs."""

from typing import Any

from ftlab.assembly import Parts
from ftlab.backbones.base import Stage
from ftlab.optimizers import groups
from ftlab.patterns import shorten

Report = dict[str, Any]


def facts(parts: Parts) -> dict[str, str]:
    """What is to be known beside the table: the network and what it sees, the samples, what is to come out."""
    target, spec = parts.spec.target, parts.spec
    told = target.described()
    names = [*told["classes"], *told["targets"]]
    sizes = ", ".join(f"{size:,} {split}" for split, size in spec.sizes.items())
    return {
        "network": f"{parts.model.backbone.name}, {parts.preprocessing.summary()}",
        "data": f"{spec.name}: {sizes}",
        "targets": f"{target.plural} ({len(names)}): {shorten(names)}" if names else target.plural,
    }


def layer_tables(parts: Parts, plan: list[Report]) -> tuple[list[Report], list[Report]]:
    """The tables of stages and phases with every single layer in place of the stage that it belongs to."""
    sizes = {name: parameter.numel() for name, parameter in parts.model.named_parameters()}
    decay = {id(p): group["weight_decay"] for group in groups(parts.model, parts.optimizer) for p in group["params"]}
    decays = {name: decay[id(p)] for name, p in parts.model.named_parameters() if id(p) in decay}
    layers = parts.model.layers()
    rows = [{"address": layer.name, "parameters": sum(sizes[n] for n in layer.parameters)} for _, layer in layers]

    def settings(phase: Report, stage: str, layer: Stage) -> Report | None:
        own = max((decays[name] for name in layer.parameters if name in decays), default=None)
        of_stage = None if own is None else phase["stages"][stage]
        return of_stage and {**of_stage, "weight_decay": None if of_stage["rate"] is None else own}

    return rows, [
        {**phase, "stages": {layer.name: settings(phase, stage, layer) for stage, layer in layers}} for phase in plan
    ]


def stage_table(parts: Parts) -> list[Report]:
    """One row a stage; `tied` names other places of its parameters, where there are any."""
    places: dict[str, list[str]] = {}
    for place, stage in parts.model.tied.items():
        places.setdefault(stage, []).append(place)
    return [
        {"address": name, "parameters": count, **({"tied": places[name]} if name in places else {})}
        for name, count in parts.model.sizes().items()
    ]


def plan_table(parts: Parts) -> list[Report]:
    """One entry a phase: its epochs, and the rate and weight decay of each stage, None where it is frozen.

    What a convex phase fits has neither: both are None.
    """
    decay: dict[str, float] = {}
    for group in groups(parts.model, parts.optimizer):
        decay[group["stage"]] = max(group["weight_decay"], decay.get(group["stage"], 0.0))
    return [
        {
            "phase": phase.name,
            "epochs": phase.epochs,
            "fit": phase.fit,
            "stages": {
                stage: {
                    "rate": parts.optimizer.lr * parts.rates[stage] * phase.rates[stage],
                    "weight_decay": decay[stage],
                }
                if stage in phase.descending
                else {"rate": None, "weight_decay": None}
                if stage in phase.rates
                else None
                for stage in parts.model.addresses
            },
        }
        for phase in parts.phases
    ]
