"""The callback that asks which phase it is and freezes accordingly. What it decides is decided by pure functions."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from ftlab.freezing import Freezing, forget, freeze
from ftlab.strategies.base import current, spans
from ftlab.training.distributed.wrap import renew, skip_without_gradients
from ftlab.training.finetuner import FineTuner
from ftlab.training.phases.history import best_epoch
from ftlab.training.saving.checkpoints import phase_file
from ftlab.training.saving.loading import read_checkpoint


class Unfreezing(Callback):
    """Freezes before the DDP wrap, thaws at the border of an epoch, and keeps what is frozen so at every step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # the run's checkpoints
        self.held: Freezing | None = None
        self.trainable: tuple[str, ...] = ()

    def setup(self, trainer: Trainer, pl_module: FineTuner, stage: str) -> None:  # type: ignore[override]
        if stage == "fit":  # runs before the wrap; evaluation must not freeze anything
            self._freeze(pl_module)
            skip_without_gradients(trainer, pl_module)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: FineTuner, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        self._freeze(pl_module)  # before the wrap too: the module has its history back by now

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        phases, losses = pl_module.plan.phases, pl_module.losses
        span = current(phases, losses)
        if span.phase == 0 or span.first_epoch < len(losses):
            return  # nothing begins with this epoch
        before = set(phases[span.phase - 1].trainable)
        thawed = [s for s in pl_module.model.stages if s.name in phases[span.phase].rates and s.name not in before]
        names = {name for stage in thawed for name in stage.parameters}
        if phases[span.phase].start == "best" and not _last_is_best(pl_module):
            names |= self._restore(pl_module, span.phase - 1)
        parameters = dict(pl_module.model.named_parameters())
        optimizer = pl_module.optimizers(use_pl_optimizer=False)
        forget(optimizer, [parameters[name] for name in names])  # type: ignore[arg-type]
        wrapped = self.trainable
        self._freeze(pl_module)
        if self.trainable != wrapped:
            renew(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: FineTuner, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        assert self.held is not None
        self.held.enforce()

    def _freeze(self, module: FineTuner) -> None:
        phase = module.phase
        self.held = freeze(module.model, phase.trainable, phase.batchnorm, phase.fit)
        self.trainable = phase.trainable

    def _restore(self, module: FineTuner, phase: int) -> set[str]:
        """Put back the best weights of `phase`; the names of all parameters, whose optimizer state no longer fits.

        Raises: UserError if the file of these weights is missing or cannot be read.
        """
        path = phase_file(self.folder, phase, module.plan.phases[phase].name)
        module.load_state_dict(read_checkpoint(path)["state_dict"])
        return {name for name, _ in module.model.named_parameters()}


def _last_is_best(module: FineTuner) -> bool:
    """Whether the phase that has just ended was at its best in its last epoch: then there is nothing to restore."""
    begun = spans(module.plan.phases, module.losses)
    return best_epoch(module.losses, begun[-2].first_epoch) == len(module.losses) - 1
