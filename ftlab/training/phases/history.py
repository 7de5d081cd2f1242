"""What has happened so far, one plain record an epoch: the run's only state beside weights and optimizer.

The phase, the rates and the end of a run are pure functions of it, so a resumed run stands where it stood.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.strategies.base import Phase, Span, spans
from ftlab.tasks.monitor import LOSS, Monitor

ROUNDING = 1e-6  # of figures in 32 bits: one sample more or less is exactly a standard error
Record = dict[str, Any]  # epoch, phase, seconds, steps, step_seconds, peak_memory_bytes, train: {}, val: {}, noise


def losses(history: Sequence[Record], monitor: str, sign: float) -> list[float | None]:
    """The monitored value of each epoch with lower being better; None where it is missing or not a number."""
    values = [record["val"].get(monitor) if record["val"] else None for record in history]
    return [None if value is None or math.isnan(value) else sign * value for value in values]


def in_effect(history: Sequence[Record], monitor: Monitor) -> Monitor:
    """The loss instead of an objective that no epoch defines, unless it was asked for by its name."""
    undefined = all(value is None for value in losses(history, monitor.name, monitor.sign))
    has_loss = any(value is not None for value in losses(history, LOSS, 1.0))
    return Monitor(LOSS, 1.0, auto=True) if monitor.auto and undefined and has_loss else monitor


def judged(history: Sequence[Record], monitor: Monitor) -> list[float | None]:
    """What weights and phases are chosen by, an epoch each, lower being better.

    Under monitor=auto an epoch that is behind the best before it by no more than one standard error of their paired
    difference counts as equal to it. (Breiman et al. 1984, "Classification and Regression Trees", take the simplest
    of such models. Here the later one is taken, see best_epoch: it has learned more, at a lower rate.)
    """
    used = in_effect(history, monitor)
    found: list[float | None] = []
    best = math.inf
    for record, value in zip(history, losses(history, used.name, used.sign), strict=True):
        margin = record["noise"] + ROUNDING if used.auto and "noise" in record else 0.0
        if value is not None:
            value = best if best < value <= best + margin else value
            best = min(best, value)
        found.append(value)
    return found


def best_epoch(values: Sequence[float | None], first: int = 0) -> int | None:
    """The latest epoch from `first` on with the lowest value; None if there is no value."""
    candidates = [(value, -epoch) for epoch, value in enumerate(values) if value is not None and epoch >= first]
    return -min(candidates)[1] if candidates else None


def unmeasured(history: Sequence[Record], values: Sequence[float | None], monitor: str) -> list[str]:
    """What is to be said of epochs that were validated, and in which the monitored value was undefined."""
    lost = sum(value is None and bool(record["val"]) for record, value in zip(history, values, strict=True))
    kept = "the last weights" if best_epoch(values) is None else "the best weights of the others"
    where = f"monitor={monitor} is undefined in {lost} of {len(history)} epochs"
    return [f"{where}, which count as no progress; {kept} are kept"] if lost else []


def phase_records(
    phases: Sequence[Phase],
    history: Sequence[Record],
    values: Sequence[float | None],
    sizes: Mapping[str, int],
    told: Mapping[str, Record],
    free: Mapping[str, int] | None = None,
) -> list[Record]:
    """One record a phase that was begun, as report.json has it. `sizes`: parameters of each stage, `free`: those that
    train when it does, None: all; `told`: what the cache did for a phase, whose time and memory are the phase's too."""
    free = sizes if free is None else free
    begun = [span for span in spans(phases, values) if span.epochs]
    return [_phase_record(phases[s.phase], s, history, sizes, free, told.get(phases[s.phase].name)) for s in begun]


def _phase_record(
    phase: Phase,
    span: Span,
    history: Sequence[Record],
    sizes: Mapping[str, int],
    free: Mapping[str, int],
    cache: Record | None,
) -> Record:
    records = history[span.first_epoch : span.first_epoch + span.epochs]
    steps = sum(record["steps"] for record in records)
    measured = [*records, *([cache] if cache else [])]
    peaks = [one["peak_memory_bytes"] for one in measured if one.get("peak_memory_bytes") is not None]
    return {
        "name": phase.name,
        "first_epoch": span.first_epoch,
        "last_epoch": span.first_epoch + span.epochs - 1,
        "trainable_stages": list(phase.trainable),
        "trainable_parameters": sum(free[stage] for stage in phase.trainable),
        "total_parameters": sum(sizes.values()),
        "seconds": sum(one["seconds"] for one in measured),
        "seconds_per_step": sum(record["step_seconds"] for record in records) / max(1, steps),
        "peak_memory_bytes": max(peaks) if peaks else None,
        "ended_by": span.ended_by or "interrupted",
        "cache": cache,
    }
