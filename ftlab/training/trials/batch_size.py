"""data.batch_size=auto: the largest power of two that fits, tried with real steps on a copy of the network."""

import copy
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from ftlab.assembly import Parts
from ftlab.batch import Batch
from ftlab.data.module import DataModule
from ftlab.evaluation import on_device
from ftlab.freezing import freeze
from ftlab.run_settings import RunSettings, TrainerSettings
from ftlab.strategies.base import Phase
from ftlab.training.trainer import only_news
from ftlab.training.trials.memory import PeakMemory
from ftlab.training.trials.out_of_memory import explained, is_out_of_memory

MOST_ON_CPU = 256  # samples: a CPU gains nothing by more
BLIND = 32  # samples, where the system tells neither memory in use nor memory available (not Linux, no GPU)
SHARE = 0.8  # of the available memory; the rest is for workers, validation and what else runs
STEPS = 2  # the optimizer makes its state in the first, so the second holds all that training holds
SAMPLES = 8  # that are loaded from the data; a larger batch repeats them
MEMORY = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")  # version 2


@dataclass(frozen=True)
class Found:
    """What the search chose, and why."""

    batch_size: int  # of all processes together
    phase: str
    reason: str


def powers(limit: int) -> list[int]:
    """1, 2, 4, ... up to `limit`."""
    return [2**n for n in range(limit.bit_length()) if 2**n <= limit]


def search(peak: Callable[[int], int | None], limit: int, available: int | None) -> tuple[int, str]:
    """The largest power of two up to `limit` that fits, and why no larger one; 0 where not even 1 does.

    `peak(size)` is the increase of memory in bytes while batches of `size` train, None where they do not fit.
    `available` is what that may come to, None where running out is orderly (a GPU): then every size is tried. A size
    twice as large takes at most twice as much, so it is not tried where that would be too much.
    """
    best, taken = 0, 0
    for size in powers(limit):
        if available is not None and 2 * taken > available * SHARE:
            return best, f"{size} may take {_gb(2 * taken)} of {_gb(available)}"
        found = peak(size)
        if found is None:
            return best, f"{size} does not fit"
        if available is not None and found > available * SHARE:
            return best, f"{size} takes {_gb(found)} of {_gb(available)}"
        best, taken = size, found
    return best, f"no more than {limit} are of use"


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"


def largest_phase(phases: Sequence[Phase], sizes: Mapping[str, int]) -> Phase:
    """The phase with the most trainable parameters, the first of equals."""
    return max(phases, key=lambda phase: sum(sizes[stage] for stage in phase.trainable))


def find(parts: Parts, data: DataModule, settings: RunSettings, world: int = 1) -> Found:
    """The largest batch that fits beside `world` - 1 other processes of this machine; changes nothing in `parts`.

    The steps run on a copy of the network, with an optimizer of its own and generators that are put back.

    Raises: UserError if not even one sample a process fits.
    """
    trainer = alone(settings.trainer)
    device = trainer.strategy.root_device
    phase = largest_phase(parts.phases, parts.model.free_sizes())
    some = samples(data)
    limit = parts.spec.sizes["train"] // world
    if device.type == "cpu":
        limit = min(limit, MOST_ON_CPU // world)
    available = None if device.type == "cuda" else memory_available()
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        trial = Trial(parts, phase, trainer, some)
        if device.type != "cuda" and (available is None or trial.memory.increase() is None):
            limit, available = min(limit, BLIND), None
        size, reason = search(trial.peak, max(1, limit), None if available is None else available // world)
        failure = trial.failure
        del trial
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
    if size == 0:
        tried = replace(settings, loading=replace(settings.loading, batch_size=1))
        raise explained(failure or MemoryError(reason), tried)
    return Found(size * world, phase.name, reason)


def alone(settings: TrainerSettings) -> Trainer:
    """A Trainer of the run's precision on the first of its devices, which writes nothing."""
    devices = settings.devices
    with only_news():
        return Trainer(
            accelerator=settings.accelerator,
            devices=devices[:1] if isinstance(devices, list) else 1,
            precision=settings.precision,  # type: ignore[arg-type]  # checked against its list
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


class Trial:
    """A copy of the network on the device of the run, and steps of any size on it."""

    def __init__(self, parts: Parts, phase: Phase, trainer: Trainer, some: Batch) -> None:
        self.device, self.plugin = trainer.strategy.root_device, trainer.precision_plugin
        self.memory = PeakMemory(self.device)
        self.failure: BaseException | None = None
        self.some = some
        self.model, self.task = copy.deepcopy(parts.model), copy.deepcopy(parts.task).to(self.device)
        freeze(self.model, phase.trainable, phase.batchnorm)
        self.plugin.convert_module(self.model.to(self.device))
        self.optimizer = parts.optimizer.build(self.model)

    def peak(self, size: int) -> int | None:
        """Bytes more than before the copy was made; None if memory ran out."""
        try:
            self.memory.reset()
            for _ in range(STEPS):
                self._step(on_device(repeated(self.some, size), self.device))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self.failure = error.with_traceback(None)  # whose frames hold what did not fit
            return None
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return self.memory.increase() or 0

    def _step(self, batch: Batch) -> None:
        batch = self.plugin.convert_input(batch)
        with self.plugin.forward_context():
            total, weight = self.task.training_loss(self.model(batch), batch)
        (total / weight).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def samples(data: DataModule) -> Batch:
    """A few real samples of the train split, as the network sees them."""
    few = DataModule(data.splits, data.spec, data.preprocessing, data.augment, SAMPLES, 0, data.seed)
    return next(iter(few.loader("train", shuffle=True)))


def repeated(batch: Batch, size: int) -> Batch:
    """A batch of `size`, which repeats the samples of `batch`."""
    return batch.select(torch.arange(size) % len(batch))


def memory_available() -> int | None:
    """Bytes that new work can have: what the system says, and what the container still allows; None if untold."""
    free = [*_system(), *_container()]
    return min(free) if free else None


def _system() -> list[int]:
    try:
        lines = MEMORY.read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _container() -> list[int]:
    try:
        most, now = ((CONTAINER / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return [] if most == "max" else [max(0, int(most) - int(now))]
    except (OSError, ValueError):
        return []
