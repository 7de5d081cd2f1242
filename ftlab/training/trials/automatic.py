"""What keys that are `auto` stand for: chosen once, before the Trainer is built, and kept in the run's config.yaml."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ftlab.assembly import Parts
from ftlab.data.module import DataModule
from ftlab.resume import AUTO, AUTOMATIC, as_begun, read_yaml, value_of, with_value
from ftlab.run_settings import LoadingSettings, RunSettings, typed
from ftlab.sized import settled
from ftlab.training.distributed.processes import alone, devices, started_with
from ftlab.training.trials import compiling
from ftlab.training.trials.batch_size import SAMPLES, find
from ftlab.training.trials.range_test import CHOSEN, range_tests

MakeData = Callable[[RunSettings], DataModule]

MOST_WORKERS = 8  # each holds a copy of what the data keeps in memory; more rarely load faster
FALLEN_BACK = 1e-3  # of a rate that cannot be found: the default of most optimizers
QUICK = 1.0  # seconds to load all that an epoch needs: below that, starting workers costs more than they save


def chosen(
    parts: Parts, config: Mapping[str, Any], folder: Path, make_data: MakeData
) -> tuple[Mapping[str, Any], list[str]]:
    """`config` without `auto`, and a line about each choice; a run that goes on keeps what it began with.

    Raises: UserError where several processes would each choose a batch size for themselves, or not one sample fits.
    """
    config = settled(config, parts.choices)
    found = as_begun(read_yaml(folder / "config.yaml"), config) if typed(config).resumes else config
    lines = []
    for key in AUTOMATIC:
        if value_of(config, key) != AUTO:
            continue
        value, why = value_of(found, key), "as the run began"
        if value == AUTO:
            value, why = CHOICES[key](parts, typed(found), make_data)
        found = with_value(found, key, value)
        lines.append(f"{key}=auto: {value}; {why}")
    return found, lines


def _precision(parts: Parts, settings: RunSettings, make_data: MakeData) -> tuple[str, str]:
    """Weights and gradients have 32 bits in either case, so processes on unlike GPUs still agree."""
    gpu = on_gpu(settings)
    return precision(gpu, gpu and torch.cuda.is_bf16_supported(including_emulation=False))


def on_gpu(settings: RunSettings) -> bool:
    return settings.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def precision(on_gpu: bool, has_bfloat16: bool) -> tuple[str, str]:
    """trainer.precision, and why: fewer digits only where they are faster."""
    if has_bfloat16:
        return "bf16-mixed", "the GPU has bfloat16"
    return "32-true", "the GPU has no bfloat16" if on_gpu else "fewer digits gain nothing without a GPU"


def _workers(parts: Parts, settings: RunSettings, make_data: MakeData) -> tuple[int, str]:
    trial = replace(settings, loading=LoadingSettings(SAMPLES, num_workers=0))
    seconds = seconds_per_sample(make_data(trial))
    return workers(seconds, parts.spec.sizes["train"], cores(), devices(settings.trainer))


def workers(seconds: float, samples: int, cores: int, processes: int) -> tuple[int, str]:
    """data.num_workers, and why, for an epoch of `samples` that take `seconds` each to load."""
    share, epoch = cores // processes, seconds * samples
    if epoch < QUICK:
        return 0, f"an epoch's samples load in {epoch:.2f} s"
    if share < 2:
        return 0, f"there are {cores} cores for {processes} processes"
    return min(share, MOST_WORKERS), f"an epoch's samples take {epoch:.1f} s to load, and there are {cores} cores"


def seconds_per_sample(data: DataModule) -> float:
    """To load and prepare one of the train split; the first batch, which opens files and fills caches, is not timed."""
    batches = iter(data.loader("train", shuffle=True))
    next(batches)
    start = time.perf_counter()
    loaded = sum(len(batch) for batch in islice(batches, 2))
    return (time.perf_counter() - start) / loaded if loaded else 0.0


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batch_size(parts: Parts, settings: RunSettings, make_data: MakeData) -> tuple[int, str]:
    alone("data.batch_size=auto")
    one = replace(settings, loading=replace(settings.loading, batch_size=1))
    found = find(parts, make_data(one), settings, devices(settings.trainer))
    return found.batch_size, f"tried in phase '{found.phase}'; {found.reason}"


def _compile(parts: Parts, settings: RunSettings, make_data: MakeData) -> tuple[str, str]:
    if not on_gpu(settings):
        return "off", "without a GPU it was never found to pay"  # python -m tests.benchmarks.compiled
    if devices(settings.trainer) > 1 or settings.trainer.num_nodes > 1 or started_with() > 1:
        return "off", "it is not tried with several processes"
    return compiling.chosen(parts, make_data(settings), settings)


def _rate(parts: Parts, settings: RunSettings, make_data: MakeData) -> tuple[float, str]:
    alone("optimizer.lr=auto")
    first = next((phase for phase in parts.phases if phase.fit == "gradient"), None)
    if first is None:
        return parts.optimizer.lr, "no phase trains by gradient descent"
    (curve,) = range_tests(parts, make_data(settings), settings, [first])
    found = curve.suggested
    if CHOSEN not in found:
        return (
            FALLEN_BACK,
            f"tried in phase '{first.name}', where no rate lowered the loss by much; ftlab lr-find draws it",
        )
    others = ", ".join(f"{name} {rate:.2g}" for name, rate in found.items() if name != CHOSEN)
    return float(f"{found[CHOSEN]:.2g}"), f"the {CHOSEN} of a range test of phase '{first.name}' ({others})"


CHOICES = {
    "trainer.precision": _precision,
    "data.num_workers": _workers,
    "data.batch_size": _batch_size,
    "compile": _compile,
    "optimizer.lr": _rate,
}
