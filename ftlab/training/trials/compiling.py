"""torch.compile for the steps of a run: anew in each phase, and by `auto` only where a trial says that it pays.

Only steps of gradient descent on whole batches are compiled: the odd batch at the end of an epoch has another size,
and validation another mode, which would each be compiled once more.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from rich.console import Console

from ftlab.assembly import Parts
from ftlab.batch import Batch
from ftlab.cache.before import loaded
from ftlab.data.module import DataModule
from ftlab.data.sampling import KeyedBatchSampler
from ftlab.errors import UserError
from ftlab.model import Model
from ftlab.run_settings import RunSettings
from ftlab.training.finetuner import FineTuner
from ftlab.training.trials.batch_size import alone
from ftlab.training.trials.estimate import Trial, estimates, moved

FEW = 2000  # steps of a run: what compiling takes, half a minute and more, must be saved in them


class Compiling(Callback):
    """After Caching, which says what a phase computes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.phase = ""  # that is compiled

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if pl_module.interrupted:  # Lightning does not call on_train_epoch_start for an epoch that goes on
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if pl_module.phase.name == self.phase:
            return
        self.phase = pl_module.phase.name
        self.console.print("compile=on: the first step of the phase compiles, which takes a while", highlight=False)
        torch.compiler.reset()  # what was compiled for another phase is of no more use, and counts as a variant
        sampler: KeyedBatchSampler = trainer.train_dataloader.batch_sampler  # type: ignore[union-attr,assignment]
        whole = len(range(sampler.rank, sampler.batch_sizes()[0], sampler.world))
        pl_module.compiled = Compiled(pl_module.model, whole)

    def on_train_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        pl_module.compiled = None
        torch.compiler.reset()

    def on_exception(self, trainer: Trainer, pl_module: FineTuner, exception: BaseException) -> None:  # type: ignore[override]
        self.on_train_end(trainer, pl_module)


class Compiled:
    """The model, compiled for batches of one size."""

    def __init__(self, model: Model, size: int) -> None:
        self.model, self.size = model, size
        self.run: Callable[[Batch], Any] = torch.compile(model.forward)

    def __call__(self, batch: Batch) -> Any:
        return self.run(batch) if len(batch) == self.size else self.model(batch)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Raises: UserError where torch cannot compile a network; it may say so in the backward pass only."""
    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        raise UserError(f"compile=on: {reason(error)}; use compile=off") from error


def reason(error: Exception) -> str:
    """In one line; torch says first where it was, then what it was."""
    said = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
    return f"torch cannot compile this network here ({said or type(error).__name__})"


def chosen(parts: Parts, data: DataModule, settings: RunSettings) -> tuple[str, str]:
    """on or off, and why, by steps on copies of the network in the phase that takes longest."""
    steps = {phase.name: phase.epochs * data.batches() for phase in parts.phases if phase.fit == "gradient"}
    if sum(steps.values()) < FEW:
        return "off", f"compiling takes longer than it saves in {sum(steps.values())} steps"
    try:
        figures = tried(parts, data, settings, steps)
    except Exception as error:  # a run that would train must not end by an attempt to make it faster
        said = reason(error) if isinstance(error, torch._dynamo.exc.TorchDynamoException) else f"{error}".split("\n")[0]
        return "off", f"the trial of it failed: {said or type(error).__name__}"
    finally:
        torch.compiler.reset()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return verdict(*figures, compilations=len(steps))


def tried(
    parts: Parts, data: DataModule, settings: RunSettings, steps: Mapping[str, int]
) -> tuple[str, int, float, float, float]:
    """Of the phase that takes longest: its name, its steps, and seconds of a plain, a compiled and a first step."""
    longest = max((one for one in estimates(parts, data, settings) if one.phase in steps), key=lambda one: one.total)
    trainer = alone(settings.trainer)
    trial = Trial(parts, next(phase for phase in parts.phases if phase.name == longest.phase), trainer)
    trial.run = torch.compile(trial.model.forward)
    first, step = trial.first_and_next(moved(loaded(data, 0, data.batch_size)[0], trainer), longest.frozen)
    return longest.phase, steps[longest.phase], longest.step, step, first


def verdict(phase: str, steps: int, plain: float, compiled: float, first: float, compilations: int) -> tuple[str, str]:
    """on where the steps of a phase save more seconds than all first steps, which compile, take."""
    value = "on" if steps * (plain - compiled) > first * compilations else "off"
    return value, f"a step of '{phase}' takes {plain:.3g} s, compiled {compiled:.3g} s, and {first:.0f} s to compile"
