"""Lightning's loop over the batches of an epoch, without what it does around each step that nobody asks for.

A step of a head on kept values took 1.8 to 2.9 ms with Lightning's own loop, of which 0.5 are the arithmetic, and takes
0.9 with this one. It counts batches and steps where Lightning does, and calls the same hooks in the same order, so that
checkpoints, resumed epochs and weights are the same to the bit; a run that needs more takes Lightning's way. The names
used here are private to Lightning: pyproject.toml bounds its version, and tests/training/test_steps.py guards them.
"""

from typing import Any, cast

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy

from ftlab.batch import Batch
from ftlab.training.finetuner import FineTuner

LEFT_OUT = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")  # callbacks'
PRECISIONS = (Precision, MixedPrecision, HalfPrecision, DoublePrecision)


def shorten(trainer: Trainer) -> None:
    """Give `trainer` the short steps for the epochs that need no others."""
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = ShortSteps(trainer, loop.min_steps, loop.max_steps)


def is_plain(trainer: Trainer) -> bool:
    """Whether one process steps without a scaler of gradients, and no callback listens to what is left out."""
    plugin = trainer.precision_plugin
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(plugin) in PRECISIONS
        and getattr(plugin, "scaler", None) is None
        and type(trainer.profiler) is PassThroughProfiler  # type: ignore[attr-defined]
        and not any(listening(trainer, hook) for hook in LEFT_OUT)
    )


def listening(trainer: Trainer, hook: str) -> list[Callback]:
    """The callbacks that do something at `hook`."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    own = [(one, getattr(one, hook)) for one in callbacks]  # of the object: LambdaCallback sets its hooks there
    return [one for one, method in own if getattr(method, "__func__", method) is not getattr(Callback, hook)]


class ShortSteps(_TrainingEpochLoop):
    """A step of gradient descent in one process."""

    def on_run_start(self, data_fetcher: Any) -> None:
        super().on_run_start(data_fetcher)
        # Decided anew in each epoch: callbacks may have come. A convex phase takes no optimizer's steps.
        self.short = is_plain(self.trainer) and cast(FineTuner, self.trainer.lightning_module).phase.fit != "convex"
        self.at_start = listening(self.trainer, "on_train_batch_start")
        self.at_end = listening(self.trainer, "on_train_batch_end")

    def advance(self, data_fetcher: Any) -> None:
        if self.restarting or not self.short:  # the first batch after a resume has cases of its own
            return super().advance(data_fetcher)
        trainer, progress = self.trainer, self.batch_progress
        module = cast(FineTuner, trainer.lightning_module)
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        number = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        batch = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))
        progress.increment_ready()
        for callback in self.at_start:
            callback.on_train_batch_start(trainer, module, batch, number)
        module.on_train_batch_start(batch, number)
        progress.increment_started()
        outputs = self._step(module, batch, number)
        progress.increment_processed()
        for callback in self.at_end:
            callback.on_train_batch_end(trainer, module, outputs, batch, number)
        module.on_train_batch_end(outputs, batch, number)
        progress.increment_completed()

    def _step(self, module: FineTuner, batch: Batch, number: int) -> dict[str, Any]:
        """Loss and gradient, and at the end of a window of accumulation the optimizer's step."""
        trainer, done = self.trainer, self.automatic_optimization.optim_progress.optimizer
        loss: Any = trainer.strategy.training_step(batch, number)
        loss = loss / trainer.accumulate_grad_batches
        if number % trainer.accumulate_grad_batches == 0:
            done.zero_grad.increment_ready()
            done.zero_grad.increment_started()
            for parameter in module.learning:  # what is frozen has none
                parameter.grad = None
            done.zero_grad.increment_completed()
        loss.backward()
        if not self._should_accumulate():
            done.step.increment_ready()
            self._descend(module)
            done.step.increment_completed()
        return {"loss": loss.detach()}

    def _descend(self, module: FineTuner) -> None:
        trainer, optimizer = self.trainer, self.trainer.optimizers[0]
        module.on_before_optimizer_step(optimizer)
        if trainer.gradient_clip_val:
            module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        whole = optimizer.param_groups
        # A stage freezes and thaws as a whole, so the first of a group speaks for all; to visit the frozen ones for
        # nothing takes longer than the step of a head.
        optimizer.param_groups = [group for group in whole if group["params"][0].requires_grad]
        try:
            optimizer.step()
        finally:
            optimizer.param_groups = whole
