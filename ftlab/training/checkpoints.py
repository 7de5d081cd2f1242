"""What a run saves at the end of an epoch: checkpoints (the last, the one before it, the best of the run and of each
phase), written atomically, and metrics.csv."""

import os
import re
import shutil
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint

from ftlab.reports.metrics import write_metrics
from ftlab.strategies.base import spans
from ftlab.training.finetuner import FineTuner
from ftlab.training.history import best_epoch

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


def phase_file(folder: Path, phase: int, name: str) -> Path:
    """Where the best weights of a phase lie; `phase` counts from 0."""
    return folder / f"phase-{phase + 1}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}-best.ckpt"


class Checkpoints(Checkpoint):
    """Saves at the end of each epoch, when the history has its record: Lightning calls Checkpoint callbacks last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        folder = self.folder
        partial = folder / "last.ckpt.partial"
        trainer.save_checkpoint(partial)  # on all ranks: gathers what is spread over them
        if not trainer.is_global_zero:
            return
        publish(partial, folder)
        write_metrics(folder.parent / "metrics.csv", pl_module.history)
        phases, losses = pl_module.plan.phases, pl_module.losses
        epoch = len(losses) - 1
        if best_epoch(losses) in (epoch, None):
            copy(folder / LAST, folder / BEST)
        span = next(s for s in reversed(spans(phases, losses)) if s.first_epoch <= epoch)
        if best_epoch(losses, span.first_epoch) in (epoch, None):
            copy(folder / LAST, phase_file(folder, span.phase, phases[span.phase].name))


def publish(partial: Path, folder: Path) -> None:
    """Make a finished file the last checkpoint, and the last the one before it; at no moment is there none."""
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    if (folder / LAST).exists():
        copy(folder / LAST, folder / PREVIOUS)
    os.replace(partial, folder / LAST)


def copy(source: Path, target: Path) -> None:
    """A second name for the same bytes where the file system can, else a copy; replaces `target` in one step."""
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        os.link(source, new)
    except OSError:
        shutil.copyfile(source, new)
    os.replace(new, target)
