"""What a run saves: checkpoints (the last, the one before it, the best of the run and of each phase) and metrics.csv.

Every file is written under another name, flushed to the disk and renamed: a kill at any moment leaves a whole one.
"""

import os
import re
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint

from ftlab.disk import flush
from ftlab.errors import UserError
from ftlab.pickles import HostileFileError
from ftlab.reports.metrics import write_metrics
from ftlab.run_settings import Keep
from ftlab.strategies.base import Phase, current, spans
from ftlab.training.finetuner import STATE, FineTuner
from ftlab.training.phases.history import best_epoch
from ftlab.training.saving.files import BEST, LAST, PREVIOUS, REFIT
from ftlab.training.saving.frozen_part import FrozenPart, untrained
from ftlab.training.saving.interruptions import Interruptions
from ftlab.training.saving.loading import read_checkpoint
from ftlab.training.saving.nonfinite import weights_are_finite

GO_ON, SAVE, STOP = 0, 1, 2  # what is to be done after a step; with several ranks the highest wins


def phase_file(folder: Path, phase: int, name: str) -> Path:
    """Where the best weights of a phase lie; `phase` counts from 0."""
    return folder / f"phase-{phase + 1}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}-best.ckpt"


def passed(phases: Sequence[Phase], losses: Sequence[float | None]) -> range:
    """The phases whose best weights nothing can ask for, after these epochs: a run goes back to the end of the epoch
    before the last at most, and takes the best weights of a phase where the next one begins."""
    before = losses[:-1]
    span = current(phases, before)
    return range(span.phase - (span.first_epoch == len(before)))


def asked_for(phases: Sequence[Phase], losses: Sequence[float | None]) -> int | None:
    """The phase of whose best weights, as far as it has come, the next one may have to begin; None where none does."""
    span = current(phases, losses)
    begins = span.first_epoch == len(losses)  # a phase, with the coming epoch
    phase, following = span.phase - begins, phases[span.phase + 1 - begins :][:1]
    if phase < 0 or not following or following[0].start != "best":
        return None
    first = spans(phases, losses)[phase].first_epoch
    return None if begins and best_epoch(losses, first) == len(losses) - 1 else phase


def check_best(run: Path, phases: Sequence[Phase], losses: Sequence[float | None]) -> None:
    """Raises: UserError if the best weights of a phase are gone, and the run that goes on asks for them: its phases
    have others ends than those it was begun with."""
    phase = asked_for(phases, losses)
    if phase is None or phase_file(run / "checkpoints", phase, phases[phase].name).exists():
        return
    raise UserError(
        f"resume={run}: phase '{phases[phase + 1].name}' would begin with the best weights of phase "
        f"'{phases[phase].name}', which ended elsewhere before, and they are not kept (only checkpoint.keep=all keeps "
        "those of each phase); leave the phases as they were, or set strategy.restore_best=false (in a file of phases: "
        "start: current) and allow that too in resume_allow"
    )


class Checkpoints(Checkpoint):
    """Saves after each epoch, when the history has its record (Lightning calls Checkpoint callbacks last), and within
    long ones every so many steps or minutes."""

    def __init__(
        self,
        folder: Path,
        interruptions: Interruptions,
        every_n_steps: int | None,
        every_minutes: float | None,
        keep: Keep,
        writes_metrics: bool = True,
    ) -> None:
        """writes_metrics: whether metrics.csv is."""
        self.writes_metrics = writes_metrics
        self.folder, self.interruptions, self.keep = folder, interruptions, keep
        self.frozen = FrozenPart(folder)
        self.untrained: tuple[frozenset[str], list[str]] = (frozenset(), [])  # by the stages that have trained
        self.every_n_steps, self.every_minutes = every_n_steps, every_minutes
        self.saved_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        """From here on the run has begun: its folder is kept, however it ends. A refit of before is not."""
        if trainer.is_global_zero:
            self.folder.mkdir(exist_ok=True, parents=True)
            shutil.rmtree(self.folder.parent / REFIT, ignore_errors=True)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: FineTuner, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        # Only between windows of accumulation, where there are no gradients to save. Never after the last batch: the
        # validation that comes next would be lost; the end of the epoch saves it.
        if done % trainer.accumulate_grad_batches or done == trainer.num_training_batches:
            return
        step = self._together(trainer, self._wanted(trainer.global_step))
        if step != GO_ON and weights_are_finite(pl_module.model):  # of bad weights the one before is the better one
            self._save(trainer, pl_module)
        if step == STOP:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self._save(trainer, pl_module, epoch=len(pl_module.history) - 1)
        if self._together(trainer, STOP if self.interruptions.asked else GO_ON) == STOP and not trainer.should_stop:
            raise KeyboardInterrupt

    def _wanted(self, step: int) -> int:
        if self.interruptions.asked:
            return STOP
        by_steps = self.every_n_steps is not None and step % self.every_n_steps == 0
        by_time = self.every_minutes is not None and time.monotonic() - self.saved_at > 60 * self.every_minutes
        return SAVE if by_steps or by_time else GO_ON

    def _together(self, trainer: Trainer, own: int) -> int:
        """The highest of all ranks: a signal, or a clock, of one of them counts for all."""
        if trainer.world_size == 1:
            return own
        return int(trainer.strategy.reduce(torch.tensor(own, device=trainer.strategy.root_device), reduce_op="max"))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: FineTuner, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        """Leave out what the file of the frozen part holds; the other ranks' states are not written."""
        if not trainer.is_global_zero:
            return
        phases = pl_module.plan.phases
        begun = phases[: phases.index(pl_module.running) + 1]
        trained = frozenset(stage for phase in begun for stage in phase.trainable)
        if self.untrained[0] != trained or not self.untrained[1]:
            self.untrained = trained, [f"model.{name}" for name in untrained(pl_module.model, trained)]
        self.frozen.take_out(checkpoint, self.untrained[1])

    def _save(self, trainer: Trainer, module: FineTuner, epoch: int | None = None) -> None:
        """Save what there is; `epoch`: the one that has just ended, None within one."""
        partial = self.folder / f"{LAST}.partial"
        trainer.save_checkpoint(partial)  # on all ranks: gathers what is spread over them
        if trainer.is_global_zero:
            flush(partial)
            if epoch is not None:  # before `last` is renamed: a kill in between repeats the epoch, and these with it
                self._save_best(partial, module, epoch)
                if self.writes_metrics:
                    write_metrics(self.folder.parent / "metrics.csv", module.history)
            publish(partial, self.folder)
            if epoch is not None and self.keep != "all":
                self._drop_passed(module)
        trainer.strategy.barrier("checkpoints")  # the other ranks may be about to read one
        self.saved_at = time.monotonic()

    def _drop_passed(self, module: FineTuner) -> None:
        for phase in passed(module.plan.phases, module.losses):
            phase_file(self.folder, phase, module.plan.phases[phase].name).unlink(missing_ok=True)

    def _save_best(self, partial: Path, module: FineTuner, epoch: int) -> None:
        phases, losses = module.plan.phases, module.losses
        if best_epoch(losses) in (epoch, None):
            copy(partial, self.folder / BEST)
        span = next(s for s in reversed(spans(phases, losses)) if s.first_epoch <= epoch)
        if best_epoch(losses, span.first_epoch) in (epoch, None):
            copy(partial, phase_file(self.folder, span.phase, phases[span.phase].name))


def publish(partial: Path, folder: Path) -> None:
    """Make a finished file the last checkpoint, and the last the one before it; at no moment is there none."""
    if (folder / LAST).exists():
        copy(folder / LAST, folder / PREVIOUS)
    os.replace(partial, folder / LAST)
    flush(folder)


def copy(source: Path, target: Path) -> None:
    """A second name for the same bytes where the file system can, else a copy; replaces `target` in one step."""
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        os.link(source, new)
    except OSError:
        shutil.copyfile(source, new)
        flush(new)
    os.replace(new, target)


def state(path: Path) -> dict[str, Any]:
    """ftlab's own part of a checkpoint: {history, epoch, phases}."""
    return read_checkpoint(path, only_look=True)[STATE]


def newest(folder: Path) -> Path:
    """The last checkpoint, or, with a warning, the one before it if the last cannot be read.

    Raises: UserError if neither can.
    """
    reasons = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            read_checkpoint(path, only_look=True)
        except HostileFileError:
            raise
        except UserError as error:
            reasons.append(str(error))
            continue
        if reasons:
            warnings.warn(f"{reasons[0]}; going on from {path.name} instead", stacklevel=2)
        return path
    raise UserError(f"resume: no checkpoint can be read: {reasons[0]}")
