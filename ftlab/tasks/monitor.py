"""The figure of the validation split that decides which weights are best."""

from collections.abc import Collection
from dataclasses import dataclass

from ftlab.errors import UserError, choices
from ftlab.tasks.base import Task

AUTO = "auto"
LOSS = "loss"


@dataclass(frozen=True)
class Monitor:
    """The figure, which way it is better, and how it was asked for."""

    name: str
    sign: float  # 1 if a lower value is better, -1 if a higher one is
    auto: bool = False  # the task's objective: chance decides nothing, and where val does not define it, its loss does

    @property
    def typed(self) -> str:
        """What was typed after monitor=."""
        return AUTO if self.auto else self.name


def monitor_of(asked: str, task: Task) -> Monitor:
    """Raises: UserError for an unknown name."""
    name = task.objective if asked == AUTO else asked
    return Monitor(name, monitor_sign(name, task), asked == AUTO)


def monitor_sign(monitor: str, task: Task) -> float:
    """1 if a lower value of `monitor` is better, -1 if a higher one is. Raises: UserError for an unknown name."""
    better = {LOSS: "min", **task.better}
    if monitor not in better:
        near = [AUTO, *(name for name in better if "/" not in name or "/" in monitor)]  # figure/target can be hundreds
        raise UserError(f"monitor={monitor}: no such figure of the validation split; {choices(monitor, near)}")
    if better[monitor] not in ("max", "min"):
        raise UserError(f"task={task.name}: better says '{better[monitor]}' of {monitor}; accepted: max, min.")
    return -1.0 if better[monitor] == "max" else 1.0


def check_there(monitor: str, figures: Collection[str]) -> None:
    """Raises: UserError where the task names a figure that it does not give, which would leave no epoch the best."""
    if monitor not in figures:
        raise UserError(f"monitor={monitor}: the task names it and does not give it; {choices(monitor, figures)}")


def unjudged_by(monitor: str, refit: bool, task: Task, has_validation: bool) -> tuple[str, ...]:
    """What is said of data without a val split. Raises: UserError for what asks for one, and a figure that is not."""
    if refit and not has_validation:
        raise UserError("refit=true: what val chose is trained anew on train and val, and there is no val split")
    if not has_validation and monitor not in (AUTO, LOSS):  # the defaults of this version and of earlier ones
        raise UserError(f"monitor={monitor}: is a figure of the val split, and the data has none; leave it out")
    monitor_of(monitor, task)
    return () if has_validation else ("there is no val split: the last weights are kept, of the run and of each phase",)
