from inspect import signature
from typing import Any

from ftlab.assembly import Parts
from ftlab.tasks.base import Task


def ways(parts: Parts, slower: str) -> list[str]:
    """What a run can still try where a thaw cost more than it brought."""
    found = {
        slower: bool(slower),
        "rates=layer_decay": len(set(parts.rates.values())) == 1,
        "schedule.warmup=1": parts.schedule.warmup < 1,
        "augment=light": parts.preprocessing.pixels and not parts.augment.random,
    }
    return [way for way, is_new in found.items() if is_new]


def settled_of(task: Task) -> dict[str, Any]:
    """What data have decided of the settings that its class takes."""
    taken = signature(type(task)).parameters
    return {name: value for name, value in task.settled().items() if name in taken}
