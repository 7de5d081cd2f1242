"""What trains when, as a table: phase x stage x rate, before anything runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ftlab.adapters.adapting import told
from ftlab.assembly import Parts
from ftlab.data.module import DataModule
from ftlab.plan_tables import facts, layer_tables, plan_table, stage_table
from ftlab.reports.estimates import print_estimates
from ftlab.reports.terminal import print_facts, print_plan
from ftlab.resume import MAX_EPOCHS
from ftlab.run_settings import RunSettings, typed
from ftlab.sized import Choice

Report = dict[str, Any]


def show_plan(parts: Parts, console: Console, detail: str) -> list[Report]:
    """Print the plan and give it back as the report has it."""
    print_facts(facts(parts), console)
    table = plan_table(parts)
    rows, plan = layer_tables(parts, table) if detail == "layers" else (stage_table(parts), table)
    print_plan(rows, plan, console, detail, parts.model.tied)
    for choice in chosen(parts):
        console.print(str(choice), markup=False, highlight=False, soft_wrap=True)
    for line in (*averaged(parts), *told(parts.model, parts.adapted), *sought(parts)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for warning in parts.spec.warnings:
        console.print(f"data: {warning}", markup=False, highlight=False, soft_wrap=True)
    return table


def chosen(parts: Parts) -> list[Choice]:
    """What the size of the data and the parts decided; not of epochs where the phases have their own number of them."""
    total = sum(phase.epochs for phase in parts.phases)
    by_size = [choice for choice in parts.choices if choice.key != MAX_EPOCHS or choice.value == total]
    return [*by_size, *parts.decided]


def averaged(parts: Parts) -> list[str]:
    """In which phases epochs end with means, see Phase.average."""
    kind = parts.weight_average
    if kind is not None:
        return [f"weight_average={kind.name}: val judges the mean of a phase's steps, and the bundle holds it"]
    names = [phase.name for phase in parts.phases if phase.averages]
    which = ", ".join(names) if len(names) < len(parts.phases) else "all"
    said = "each epoch ends with the mean of the weights over its steps"
    return [f"strategy.average: {said} (phases: {which})"] if names else []


def sought(parts: Parts) -> list[str]:
    said = "the rates above are shares of what a range test finds before the first step"
    return [f"optimizer.lr=auto: {said}"] if parts.optimizer.is_sought else []


def show_estimates(
    parts: Parts, make_data: Callable[[RunSettings], DataModule], config: Mapping[str, Any], console: Console
) -> None:
    """Print what each phase will cost, after a few steps of it. Raises: UserError where one runs out of memory."""
    from ftlab.training.trials import automatic
    from ftlab.training.trials.estimate import estimates

    found, lines = automatic.chosen(parts, config, Path(), make_data)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    settings = typed(found)
    print_estimates(estimates(parts, make_data(settings), settings), console)


def show_surgery(parts: Parts, console: Console) -> None:
    """Print what of a file of weights was kept, replaced and dropped."""
    for line in parts.model.backbone.loaded.surgery:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
