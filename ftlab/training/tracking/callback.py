"""Tells the trackers of a run its settings and phases; its figures are told by the module."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console

from ftlab.training.finetuner import FineTuner
from ftlab.training.tracking.base import Tracker
from ftlab.training.tracking.guarded import Guarded


class Tracking(Callback):
    def __init__(self, settings: Mapping[str, Any], goes_on: bool) -> None:
        """settings: of the run, by dotted name; goes_on: whether it was begun before."""
        self.settings, self.goes_on = settings, goes_on
        self.phase = ""

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        for logger in guarded(trainer):
            logger.open(self.settings, self.goes_on)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        name = pl_module.phase.name
        if name != self.phase:
            names = [phase.name for phase in pl_module.plan.phases]
            for logger in guarded(trainer):
                logger.phase(name, names.index(name) + 1, trainer.current_epoch)
        self.phase = name

    def on_train_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        for logger in guarded(trainer):
            if logger.failed:
                pl_module.warned[logger.failed] = 1


def guards(trackers: Sequence[Tracker], folder: Path, console: Console, again: bool) -> list[Guarded]:
    """The loggers of a fit; of a second one, which goes into no figure, those alone that are files in its folder."""
    return [Guarded(one, folder, console) for one in trackers if one.local or not again]


def guarded(trainer: Trainer) -> list[Guarded]:
    """On the first process of a run, which alone tells."""
    return [one for one in trainer.loggers if isinstance(one, Guarded)] if trainer.is_global_zero else []
