"""What phases must be: of stages that are there, in an order that can be followed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftlab.errors import UserError, choices
from ftlab.strategies.base import FOLLOWED, Phase, current, is_over


def check(phases: Sequence[Phase], stages: Sequence[str], has_validation: bool) -> None:
    """Raises: UserError for phases that cannot run."""
    if not phases:
        raise UserError("strategy: there is no phase; a strategy needs at least one")
    names = [p.name for p in phases]
    if phases[0].start == "best":
        raise UserError(f"strategy, phase '{phases[0].name}': start=best, and no phase comes before the first")
    for phase in phases:
        where = f"strategy, phase '{phase.name}'"
        if names.count(phase.name) > 1:
            raise UserError(f"{where}: two phases have this name; each needs its own")
        if phase.epochs < 1:
            raise UserError(f"{where}: {phase.epochs} epochs; a phase needs at least 1")
        if phase.patience is not None and phase.patience < 1:
            raise UserError(f"{where}: patience={phase.patience}; give at least 1 epoch, or null for never")
        if not 0 <= phase.min_delta < float("inf"):
            raise UserError(f"{where}: min_delta={phase.min_delta}; a gain is a number of at least 0")
        if phase.fit == "convex":
            _check_convex(phase, where)
        if not phase.rates:
            raise UserError(f"{where}: nothing trains; give at least one stage a rate")
        for stage, rate in phase.rates.items():
            if stage not in stages:
                raise UserError(f"{where}: no stage '{stage}'; {choices(stage, stages)}")
            if not 0 < rate < float("inf"):
                raise UserError(f"{where}: the rate of '{stage}' is {rate}; it must be above 0, or say frozen")
        if not has_validation and (phase.patience is not None or phase.start == "best"):
            raise UserError(
                f"{where}: patience and the best weights of a phase need a validation split; give the data one, "
                "or set strategy.patience=null (early_stopping.patience=null) and strategy.restore_best=false "
                "(in a file of phases: start: current)"
            )


def without_idle(phases: Sequence[Phase], idle: Collection[str], keys: str) -> list[Phase]:
    """The phases without the stages of which nothing would train. `keys`: what says so, as typed.

    Raises: UserError for a phase of which nothing is left.
    """
    found = []
    for phase in phases:
        rates = {stage: rate for stage, rate in phase.rates.items() if stage not in idle}
        if not rates:
            raise UserError(f"strategy, phase '{phase.name}': under {keys} nothing of {', '.join(phase.rates)} trains")
        found.append(replace(phase, rates=rates) if len(rates) < len(phase.rates) else phase)
    return found


def _check_convex(phase: Phase, where: str) -> None:
    if phase.epochs != 1:
        raise UserError(f"{where}: {phase.epochs} epochs; with fit=convex one pass over the data is all, epochs: 1")
    if phase.C is not None and not 0 < phase.C < float("inf"):
        raise UserError(f"{where}: C={phase.C}; a number above 0, or null for cross-validation")
    for stage in phase.rates:
        if not stage.startswith("head/"):
            raise UserError(f"{where}: fit=convex fits the head alone; make '{stage}' frozen, or use fit=gradient")


def check_followed(
    phases: Sequence[Phase],
    losses: Sequence[float | None],
    names: Sequence[str],
    before: Sequence[Mapping[str, Any]],
    source: str,
) -> None:
    """Phases of the user's own for a run that goes on: each epoch that was run lies where it was run.

    names: the phase of each of these epochs; before: the fields of the phases that they were run by, where they are
    known; source: the key that gave `phases`.

    Raises: UserError for epochs that would lie in another phase, and for a finished phase that is another one now.
    """
    for epoch, name in enumerate(names):
        now = None if epoch and is_over(phases, losses[:epoch]) else phases[current(phases, losses[:epoch]).phase].name
        if now != name:
            would = "after the last phase" if now is None else f"in phase '{now}'"
            raise UserError(
                f"{source}: epoch {epoch + 1} was run in phase '{name}', and would now be {would}; phases that have "
                f"ended keep their epochs, and one that runs can only grow: {_taken(names)} are done"
            )
    running = current(phases, losses).phase
    for phase, was in zip(phases[:running], before, strict=False):
        differ = [key for key in FOLLOWED if getattr(phase, key) != was.get(key, False)]
        if differ:
            what = ", ".join("stages" if key == "rates" else key for key in differ)
            raise UserError(f"{source}: phase '{phase.name}' has ended, and {what} of it differ; put back what was run")


def _taken(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))
