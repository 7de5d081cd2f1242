"""Lightning's Trainer from plain values."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ftlab.errors import UserError
from ftlab.run_settings import TrainerSettings
from ftlab.training.saving.frozen_part import CheckpointFiles
from ftlab.training.steps import shorten

LOUD = {
    "lightning.pytorch": logging.WARNING,
    "lightning.fabric": logging.WARNING,
    "torch.utils.cpp_extension": logging.ERROR,  # torch.compile on a CPU: that there is a CUDA toolkit, and no GPU
}
EXPECTED = (
    r".*does not have many workers.*",  # the number of workers is the user's setting; small data needs none
    r".*smaller than the logging interval.*",  # we log once an epoch
    r".*module\(s\) in eval mode at the start of training.*",  # the frozen ones: our very purpose
    r".*your dataloader is not resumable.*",  # ours is: an interrupted epoch goes on at its next batch
    # With channels last a depthwise weight (c, 1, k, k) and its gradient have other strides for the same order.
    r"(?s).*Grad strides do not match bucket view strides.*",
    r".*treespec, LeafSpec.*",  # Lightning 2.6 with torch 2.15: a deprecation between the two
)


@contextmanager
def only_news() -> Iterator[None]:
    """Without Lightning's banners, which ftlab's own lines replace, and its warnings of what is meant to be so."""
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, LOUD.values(), strict=True):
        logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            for text in EXPECTED:
                warnings.filterwarnings("ignore", text)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def check_devices(settings: TrainerSettings) -> None:
    """Raises: UserError for an accelerator that is not there, and whatever else Lightning refuses of the settings."""
    options = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    if settings.precision == "auto":
        options["precision"] = "32-true"  # the choice between what the device has comes later
    try:
        with only_news(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run's own Trainer tells them
            Trainer(**options, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        said = f"{str(error).splitlines()[0]} Found here: {', '.join(accelerators())}."
        given = f"trainer.accelerator={settings.accelerator} trainer.devices={settings.devices}"
        raise UserError(f"{given}: {said}") from error


def accelerators() -> list[str]:
    """Those of this machine, by their names in `trainer.accelerator`."""
    known = {"cpu": CPUAccelerator, "gpu": CUDAAccelerator, "mps": MPSAccelerator}
    return [f"{name} ({kind.auto_device_count()})" for name, kind in known.items() if kind.is_available()]


def build(
    settings: TrainerSettings, epochs: int, loggers: Sequence[Logger], callbacks: Sequence[Callback], validates: bool
) -> Trainer:
    """A Trainer that saves only what our callbacks save."""
    options: dict[str, Any] = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    trainer = Trainer(
        **{**options, "max_epochs": epochs},
        callbacks=list(callbacks),
        plugins=[CheckpointFiles()],
        logger=list(loggers) or False,
        enable_progress_bar=False,  # EpochLines draws one on a terminal
        enable_model_summary=False,  # the plan says what trains
        enable_checkpointing=True,
        limit_val_batches=None if validates else 0,
        num_sanity_val_steps=0,  # the data is checked before
        use_distributed_sampler=False,  # ours gives each rank its part; Lightning's would shuffle once more
        inference_mode=False,  # frozen features computed in validation must stay usable by autograd
    )
    shorten(trainer)
    return trainer
