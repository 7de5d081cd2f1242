"""What a run will cost, as it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ftlab.cache.decide import Choice
from ftlab.reports import numbers
from ftlab.reports.terminal import table_of


@dataclass(frozen=True)
class Estimate:
    """What a phase will cost if it takes all its epochs."""

    phase: str
    step: float  # seconds of a training step
    memory: int | None  # bytes more than before the run, at the peak; None where it cannot be measured
    frozen: Choice  # where the values at its freeze border come from
    total: float  # seconds of all epochs with validation, and of what is computed once before them


def print_estimates(estimates: Sequence[Estimate], console: Console) -> None:
    """One row a phase: what a step and all of it will cost, and where the values of its frozen part come from."""
    table = table_of("phase", "a step", "memory", "frozen part", "in all", left=("phase", "frozen part"))
    steps, totals = (numbers.durations(values) for values in zip(*((e.step, e.total) for e in estimates), strict=True))
    memories = numbers.memories(one.memory for one in estimates)
    for one, step, memory, total in zip(estimates, steps, memories, totals, strict=True):
        frozen = {"off": "runs whole", "live": "at every step"}.get(one.frozen.train, f"kept: {one.frozen.why}")
        table.add_row(Text(one.phase), step, memory, Text(frozen), total)
    console.print(table)
    whole = numbers.duration(sum(one.total for one in estimates))
    console.print(f"about {whole} in all, estimated by a few steps a phase, without checkpoints")
