"""A run that goes on, perhaps with other phases than it was begun with: which are followed, and what it means.

`saved` is ftlab's own part of a checkpoint.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.resume import MAX_EPOCHS
from ftlab.strategies.base import Phase, current, end, is_over, prolonged
from ftlab.strategies.checks import check_followed
from ftlab.training.phases.history import Record
from ftlab.training.phases.rates import RatePlan

Saved = Mapping[str, Any]
SEEN = 1.001  # times the rate before: a rise, and no rounding


def longer(saved: Saved, phases: Sequence[Phase], losses: Sequence[float | None], source: str) -> list[Phase]:
    """The phases that a run goes on with; `source`: the key that says their epochs.

    Raises: UserError where what was run does not fit them.
    """
    if source == MAX_EPOCHS:
        return prolonged(phases, saved["phases"])
    names = [record["phase"] for record in saved["history"]]
    check_followed(phases, losses, names, saved.get("plan", []), source)
    return list(phases)


def changed(saved: Saved, phases: Sequence[Phase]) -> bool:
    """Whether the phases have other epochs than when the checkpoint was written."""
    return list(saved["phases"]) != [phase.epochs for phase in phases]


def gone_on(saved: Saved, plan: RatePlan, losses: Sequence[float | None], processes: int, factor: float) -> Record:
    """Where a run goes on: {epoch, batch, processes, processes_before}; `over` where no epoch is left; of one that had
    ended, from how many epochs to how many it is prolonged, and the rate before and after where it rises again."""
    within, before = (saved["epoch"] or {}).get("batches", 0), saved.get("processes", processes)
    found = {"epoch": len(losses), "batch": within, "processes": processes, "processes_before": before}
    if is_over(plan.phases, losses):
        return {**found, "over": True}
    if not was_over(saved):
        return found
    phase, ran = plan.phases[current(plan.phases, losses).phase], saved["history"][-1].get("rates", [])
    rise = risen(ran[-1][1] if ran else {}, plan.at(phase, plan.begin(losses), 0, factor))
    return {**found, "epochs_before": len(losses), "epochs": end(plan.phases, losses), **rise}


def was_over(saved: Saved) -> bool:
    """Whether the run had trained to its end; a checkpoint of an earlier version tells by its epochs only."""
    return bool(saved.get("over", len(saved["history"]) == sum(saved["phases"])))


def risen(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """The rate before and `now` of the stage whose rate rises most; nothing where none does."""
    rises = [(before[stage], rate) for stage, rate in now.items() if rate > SEEN * before.get(stage, rate)]
    old, new = max(rises, key=lambda pair: pair[1] - pair[0], default=(0.0, 0.0))
    return {"rate_before": old, "rate": new} if rises else {}
