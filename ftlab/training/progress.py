"""What a person sees while a run trains: a bar on a terminal, and one line an epoch everywhere."""

from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ftlab.reports import frozen
from ftlab.reports.terminal import epoch_line
from ftlab.resume import went_on
from ftlab.training.finetuner import FineTuner


class EpochLines(Callback):
    """One line a finished epoch and one a new phase; on a terminal a bar for the running epoch below them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.printed = 0  # records of the history that have their line
        self.phase = ""  # whose frozen part has its line
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self.printed = len(pl_module.history)
        if not trainer.is_global_zero:
            return
        for at in pl_module.resumed[-1:]:
            self._say(went_on(at))
        self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if not trainer.is_global_zero:
            return
        self._catch_up(pl_module)
        phase, history = pl_module.phase, pl_module.history
        if not history or history[-1]["phase"] != phase.name:
            trains = f"{len(phase.trainable)} of {len(pl_module.plan.stages)} stages train"
            epochs = "1 epoch" if phase.epochs == 1 else f"{phase.epochs} epochs"
            self._say(f"phase {phase.name}: {trains}, {epochs} planned")
        told = pl_module.supply.told.get(phase.name)
        if told and phase.name != self.phase and len(phase.trainable) < len(pl_module.plan.stages):
            self._say(frozen.line(told))
        self.phase = phase.name
        for task in list(self.bar.task_ids):
            self.bar.remove_task(task)
        self.bar.add_task(f"epoch {len(history) + 1}/{trainer.max_epochs}", total=trainer.num_training_batches)

    def on_train_batch_end(self, trainer: Trainer, pl_module: FineTuner, *args: Any) -> None:  # type: ignore[override]
        for task in self.bar.task_ids:
            self.bar.advance(task)

    def on_train_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self._catch_up(pl_module)
        self.bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: FineTuner, exception: BaseException) -> None:  # type: ignore[override]
        self.bar.stop()

    def _catch_up(self, module: FineTuner) -> None:
        """Lines of the epochs that have ended: Lightning calls a module's end of epoch after the callbacks'."""
        for record in module.history[self.printed :]:
            self._say(epoch_line(record, module.history[0]))
        self.printed = len(module.history)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
