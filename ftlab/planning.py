"""What trains when, as a table: phase x stage x rate, before anything runs."""

from typing import Any

from rich.console import Console

from ftlab.assembly import Parts
from ftlab.reports.terminal import print_plan
from ftlab.training.optimizers import groups

Report = dict[str, Any]


def show_plan(parts: Parts, console: Console, detail: str) -> list[Report]:
    """Print the plan and give it back as the report has it."""
    table = plan_table(parts)
    print_plan(stage_table(parts), table, console, detail)
    for warning in parts.spec.warnings:
        console.print(f"data: {warning}", markup=False, highlight=False, soft_wrap=True)
    return table


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
