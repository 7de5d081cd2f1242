"""The LightningModule: a model, its task, and one step written once.

Shapes: b batch, k outputs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ftlab.batch import Batch
from ftlab.cache.supply import Supply
from ftlab.data.module import DataModule, Loader
from ftlab.data.sampling import key, seed_all
from ftlab.evaluation import Evaluation, Sums, mean, of_an_epoch
from ftlab.model import Model
from ftlab.optimizers import OptimizerSettings
from ftlab.strategies.base import Phase, current, is_over
from ftlab.tasks.base import Task
from ftlab.tasks.monitor import Monitor, check_there
from ftlab.training.phases.history import Record, judged
from ftlab.training.phases.noise import Noise
from ftlab.training.phases.prolonging import changed, gone_on
from ftlab.training.phases.rates import Point, RatePlan
from ftlab.training.saving.nonfinite import Recovers, factor, first_bad, norm
from ftlab.training.trials.memory import PeakMemory

STATE = "ftlab"  # our key in a checkpoint


class FineTuner(LightningModule):
    """Trains `model` on `task`; which stages train is the callback Unfreezing's business.

    The loss that a step returns is a sum over samples divided by a constant; the true divisor, the weight of all
    samples in the accumulation window over all ranks, is applied to the gradients just before the optimizer's step.
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        optimizer: OptimizerSettings,
        plan: RatePlan,
        mix: Callable[[Batch], Batch],
        seed: int,
        monitor: Monitor,
        data: Callable[..., DataModule],
        evaluation: Evaluation,
        batch_size: int,
        recovery: Recovers,
        follows: Sequence[float | None] | None = None,
    ) -> None:
        """`data(rank=, world=)` makes the batches of one process of a run. `evaluation`: of val. `follows`: the
        `losses` of a fit that this one repeats, phases and rates."""
        super().__init__()
        self.model, self.task = model, task
        self.optimizer_settings, self.plan, self.mix = optimizer, plan, mix
        self.seed, self.monitor, self.data, self.follows = seed, monitor, data, follows
        self.evaluation, self.noise = evaluation, Noise()
        self.history: list[Record] = []
        self.interrupted: dict[str, Any] | None = None  # what an epoch that goes on in its middle had reached
        self.resumed: list[dict[str, Any]] = []  # where the run went on after an interruption
        self.convex: dict[str, Any] | None = None  # what the convex fit of this epoch says of itself
        self.warned: dict[str, int] = {}  # undefined metrics and the like, with their counts
        self.window, self.train_loss = Sums(), Sums()  # since the last optimizer step, since the epoch began
        self.recovery = recovery
        self.seen: list[tuple[Tensor, Tensor]] = []  # index (b,) and loss () of the window's batches
        self.supply = Supply(model)
        self.compiled: Callable[[Batch], Any] | None = None  # the model, for training steps; see Compiling
        self.constant = float(batch_size)  # any would be right; this one keeps half precision in its range

    @property
    def losses(self) -> list[float | None]:
        """What weights and phases are chosen by, of each finished epoch, lower is better."""
        done = len(self.history)
        return judged(self.history, self.monitor) if self.follows is None else list(self.follows[:done])

    @property
    def phase(self) -> Phase:
        """The phase of the epoch that is running or comes next."""
        return self.plan.phases[current(self.plan.phases, self.losses).phase]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer_settings.build(self.model)

    def train_dataloader(self) -> Loader:
        loader = self.train_loader()
        if self.interrupted:
            loader.batch_sampler.skip(self.interrupted["batches"])  # type: ignore[union-attr]
        return loader

    def train_loader(self) -> Loader:
        """All batches of the epoch that is running or comes next."""
        loader = self._loader("train", shuffle=True)
        if self.phase.fit == "convex":
            loader.batch_sampler.plain = True  # type: ignore[union-attr]
        return loader

    def val_dataloader(self) -> Loader:
        return self._loader("val", shuffle=False)

    def _loader(self, split: str, shuffle: bool) -> Loader:
        return self.supply.of(split, self._batches().loader(split, shuffle))

    def _batches(self) -> DataModule:
        return self.data(rank=self.global_rank, world=self.trainer.world_size)

    # --- training

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning's own looks through every field, also where they are there."""
        return batch if batch.index.device == device else batch.each(lambda part: part.to(device, non_blocking=True))

    def on_fit_start(self) -> None:
        self.peak = PeakMemory(self.device)
        # A run that ended early, and was killed before its report: Lightning counts epochs and would go on.
        self.trainer.should_stop = bool(self.history) and is_over(self.plan.phases, self.losses)

    def on_train_start(self) -> None:
        if self.interrupted:  # Lightning does not call on_train_epoch_start for an epoch that is resumed in its middle
            self._begin_epoch(**self.interrupted)
            self.interrupted = None

    def on_train_epoch_start(self) -> None:
        # Before the loader is asked for the first batch of this epoch.
        self.trainer.train_dataloader.batch_sampler.plain = self.phase.fit == "convex"  # type: ignore[union-attr]
        self._begin_epoch()

    def _begin_epoch(
        self,
        batches: int = 0,
        train_loss: Sequence[float] = (0.0, 0.0),
        seconds: float = 0.0,
        step_seconds: float = 0.0,
        rates: Sequence[Point] = (),
    ) -> None:
        """The arguments are what an interrupted epoch had reached."""
        self.peak.reset()
        self.begun = self.plan.begin(self.losses)
        self.running = self.phase
        self.learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.batches, self.step_seconds, self.convex, self.rates = batches, step_seconds, None, list(rates)
        self.epoch_start = time.perf_counter() - seconds
        self.window, self.train_loss = Sums(), Sums(*train_loss if self.global_rank == 0 else ())

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self.step_start = time.perf_counter()
        # Dropout, drop path and mixing are keyed by the step, so there is no state of a generator to save.
        seed_all(key(self.seed, self.current_epoch, batch_idx, self.global_rank), self.device)
        step, within = divmod(batch_idx, self.trainer.accumulate_grad_batches)
        rates = self.plan.at(self.running, self.begun, step, factor(self.recovery.events))
        for group in self.optimizers(use_pl_optimizer=False).param_groups:  # type: ignore[union-attr]
            group["lr"] = rates.get(group["stage"], 0.0)
        if not within and step in self.plan.marks:
            self.rates.append([step / self.plan.steps_per_epoch, rates])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.running.fit == "convex":
            with torch.inference_mode():
                self.model(self.supply.at_border(batch))  # ConvexFit listens to the last layer
            self.batches += 1
            # A loss that hangs together with nothing; None would do, but Lightning refuses it in several processes.
            return torch.zeros((), device=self.device, requires_grad=True)
        mixed = self.supply.at_border(self.mix(batch))
        total, weight = self.task.training_loss((self.compiled or self.model)(mixed), mixed)
        self.window.add(total, weight)
        self.batches += 1
        self.seen.append((batch.index, total.detach()))
        return total / self.constant * self.trainer.accumulate_grad_batches  # Lightning divides by the latter

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.step_seconds += time.perf_counter() - self.step_start

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """A convex phase takes none: its batches only give features."""
        if self.running.fit == "convex":
            assert optimizer_closure is not None
            optimizer_closure()
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide by the weight of the whole window over all ranks, whose mean DDP has taken; before any clipping.

        A loss or gradient that is not finite ends here. All is asked in one reduction and one wait for the device.
        """
        gradients = [p.grad for p in self.learning if p.grad is not None]
        window, seen, self.window, self.seen = self.window, self.seen, Sums(), []
        mine = torch.cat([window.both, norm(gradients).to(window.both).view(1)])
        total, weight, length = self._over_ranks(mine).tolist()
        if bad := self.recovery.is_bad(self.trainer, total, length, gradients):
            return self.recovery.act(
                self.trainer, self, bad, self.trainer.fit_loop.batch_idx, first_bad(seen, self.device)
            )
        self.recovery.good()
        self.train_loss.add(*window.both)
        # The least is of the sum, not of each batch or rank, else their number would count: see Task.least_weight.
        # Where all samples have the class weight 0 their gradient is 0, and must not become 0 / 0.
        divisor = max(weight, self.task.least_weight)
        scale = self.constant * self.trainer.world_size / divisor if divisor > 0 else 0.0
        if scale != 1:
            torch._foreach_mul_(gradients, scale)

    def sample_name(self, index: int) -> str:
        return self._batches().samples("train").name(index)

    def on_train_epoch_end(self) -> None:
        """Write down the epoch; the run is over when its last phase is."""
        total, weight = self._over_ranks(self.train_loss.both).tolist()
        record: Record = {
            "epoch": self.current_epoch,
            "phase": self.running.name,
            "seconds": time.perf_counter() - self.epoch_start,
            "steps": self.batches,
            "step_seconds": self.step_seconds,
            "peak_memory_bytes": self.peak.increase(),
            "train": {"loss": mean(total, weight, self.task)},  # nan: all steps were left out
            "val": self.figures,
            "rates": self.rates,
            **({"convex": self.convex} if self.convex else {}),
            **self.noise.of(self.scores),
        }
        self.history.append(self.trainer.strategy.broadcast(record))  # one history, so one decision, on all ranks
        self._log(record)
        self.trainer.should_stop = is_over(self.plan.phases, self.losses)

    def _log(self, record: Record) -> None:
        """To TensorBoard at once: through Lightning's `log` each figure would be gathered and averaged over ranks."""
        figures = {f"{s}/{k}": v for s in ("train", "val") for k, v in record[s].items() if v is not None}
        groups = self.optimizers(use_pl_optimizer=False).param_groups  # type: ignore[union-attr]
        rates = {f"rate/{group['stage']}": group["lr"] for group in groups}
        for logger in self.trainer.loggers:
            logger.log_metrics(figures | rates, step=self.current_epoch)

    # --- validation

    figures: dict[str, float | None] = {}  # noqa: RUF012  (replaced, never changed, at each validation)
    scores: Tensor | None = None  # (n,) of all of val, see Task.scores

    def on_validation_epoch_start(self) -> None:
        self.evaluation.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.evaluation.update(of_an_epoch(self.model, self.task, self.supply.at_border(batch)), batch)

    def on_validation_epoch_end(self) -> None:
        self.figures, caught = self.evaluation.figures(self._over_ranks(self.evaluation.loss.both))
        check_there(self.monitor.name, self.figures)
        own = self.evaluation.scores if self.monitor.auto else None  # of this rank's samples, 0 for the others
        self.scores = None if own is None else self._over_ranks(own.to(self.device)).cpu()
        for text in (f"val: {one}" for one in caught):
            self.warned[text] = self.warned.get(text, 0) + 1

    # --- state

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        within = self.batches < self.trainer.num_training_batches
        checkpoint[STATE] = {
            "history": self.history,
            "epoch": self._reached() if within else None,
            "nonfinite": self.recovery.state(),
            "resumed": self.resumed,
            "cache": self.supply.state(),
            "processes": self.trainer.world_size,
            "phases": [phase.epochs for phase in self.plan.phases],
            "plan": [asdict(phase) for phase in self.plan.phases],
            "over": bool(self.history) and is_over(self.plan.phases, self.losses),
            "best_scores": self.noise.best,
            "classes": list(self.task.spec.target.classes),
        }

    def _reached(self) -> dict[str, Any]:
        """The arguments of _begin_epoch that go on from here; the loss is of all ranks, and rank 0 goes on with it."""
        return {
            "batches": self.batches,
            "train_loss": self._over_ranks(self.train_loss.both).tolist(),
            "seconds": time.perf_counter() - self.epoch_start,
            "step_seconds": self.step_seconds,
            "rates": self.rates,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint[STATE]
        self.history, self.interrupted = list(saved["history"]), saved["epoch"]
        self.noise.best = saved.get("best_scores")  # runs of earlier versions have none
        self.recovery.load(saved.get("nonfinite", {}))
        self.supply.load(saved.get("cache", {}), keeps=not changed(saved, self.plan.phases))
        here = gone_on(saved, self.plan, self.losses, self.trainer.world_size, factor(self.recovery.events))
        self.resumed = [*saved["resumed"], here]

    def _over_ranks(self, value: Tensor) -> Tensor:
        """The sum over all processes; `value` itself is not changed."""
        return self.trainer.strategy.reduce(value.clone(), reduce_op="sum")  # type: ignore[return-value]
