"""The watchers of a run: told of each epoch, by the main process alone; what ends the run ends it on all."""

from collections.abc import Sequence

from lightning.pytorch import Callback, Trainer

from ftlab.errors import StoppedError
from ftlab.training.finetuner import FineTuner
from ftlab.watchers.base import Watcher


class Watching(Callback):
    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.watchers = watchers
        self.told = 0  # epochs of the history

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self.told = len(pl_module.history)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        """Lightning calls a module's end of epoch after the callbacks', so that an epoch is told as the next begins.

        Raises: StoppedError where a watcher ends the run.
        """
        said = self._tell(pl_module) if trainer.is_global_zero else None
        if why := trainer.strategy.broadcast(said):
            raise StoppedError(why)

    def on_train_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self._tell(pl_module)  # of the last epoch; nothing is left to end

    def _tell(self, module: FineTuner) -> str | None:
        phases, why = module.plan.phases, None
        while self.told < len(module.history):
            self.told += 1
            for watcher in self.watchers:
                why = watcher.epoch(module.history[: self.told], phases) or why
        return why
