"""What trains when, as a table: phase x stage x rate, before anything runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ftlab.assembly import Parts
from ftlab.backbones.base import Stage
from ftlab.data.module import DataModule
from ftlab.reports.terminal import print_estimates, print_plan
from ftlab.training.optimizers import groups

Report = dict[str, Any]
Settings = Mapping[str, Any]


def show_plan(parts: Parts, console: Console, detail: str) -> list[Report]:
    """Print the plan and give it back as the report has it."""
    table = plan_table(parts)
    print_plan(*(layer_tables(parts, table) if detail == "layers" else (stage_table(parts), table)), console, detail)
    for warning in parts.spec.warnings:
        console.print(f"data: {warning}", markup=False, highlight=False, soft_wrap=True)
    return table


def show_estimates(
    parts: Parts, make_data: Callable[[Settings], DataModule], settings: Settings, console: Console
) -> None:
    """Print what each phase will cost, after a few steps of it. Raises: UserError where one runs out of memory."""
    from ftlab.training.automatic import chosen
    from ftlab.training.estimate import estimates

    found, lines = chosen(parts, settings, Path(), make_data)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print_estimates(estimates(parts, make_data(found), found), console)


def layer_tables(parts: Parts, plan: list[Report]) -> tuple[list[Report], list[Report]]:
    """The tables of stages and phases with every single layer in place of the stage that it belongs to."""
    sizes = {name: parameter.numel() for name, parameter in parts.model.named_parameters()}
    decay = {id(p): group["weight_decay"] for group in groups(parts.model, parts.optimizer) for p in group["params"]}
    decays = {name: decay[id(parameter)] for name, parameter in parts.model.named_parameters()}
    layers = parts.model.layers()
    rows = [{"address": layer.name, "parameters": sum(sizes[n] for n in layer.parameters)} for _, layer in layers]

    def settings(phase: Report, stage: str, layer: Stage) -> Report | None:
        of_stage = phase["stages"][stage]
        own = max(decays[name] for name in layer.parameters)
        return of_stage and {**of_stage, "weight_decay": None if of_stage["rate"] is None else own}

    return rows, [
        {**phase, "stages": {layer.name: settings(phase, stage, layer) for stage, layer in layers}} for phase in plan
    ]


def show_surgery(parts: Parts, console: Console) -> None:
    """Print what of a file of weights was kept, replaced and dropped."""
    for line in parts.model.backbone.loaded.surgery:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def stage_table(parts: Parts) -> list[Report]:
    return [{"address": name, "parameters": count} for name, count in parts.model.sizes().items()]


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
