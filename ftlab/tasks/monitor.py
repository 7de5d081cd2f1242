"""The figure of the validation split that decides which weights are best."""

from collections.abc import Collection

from ftlab.errors import UserError, choices
from ftlab.tasks.base import Task


def monitor_sign(monitor: str, task: Task) -> float:
    """1 if a lower value of `monitor` is better, -1 if a higher one is. Raises: UserError for an unknown name."""
    better = {"loss": "min", **task.better}
    if monitor not in better:
        near = [name for name in better if "/" not in name or "/" in monitor]  # figure/target can be hundreds
        raise UserError(f"monitor={monitor}: no such figure of the validation split; {choices(monitor, near)}")
    if better[monitor] not in ("max", "min"):
        raise UserError(f"task={task.name}: better says '{better[monitor]}' of {monitor}; accepted: max, min.")
    return -1.0 if better[monitor] == "max" else 1.0


def check_there(monitor: str, figures: Collection[str]) -> None:
    """Raises: UserError where the task names a figure that it does not give, which would leave no epoch the best."""
    if monitor not in figures:
        raise UserError(f"monitor={monitor}: the task names it and does not give it; {choices(monitor, figures)}")
