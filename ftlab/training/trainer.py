"""Lightning's Trainer from plain values."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """The keys under `trainer:`; names and meaning are Lightning's."""

    max_epochs: int
    precision: str | int
    accelerator: str
    devices: int | str | list[int]
    strategy: str
    accumulate_grad_batches: int
    gradient_clip_val: float | None
    deterministic: bool


def build(settings: TrainerSettings, epochs: int, folder: Path, callbacks: Sequence[Callback]) -> Trainer:
    """A Trainer that logs to metrics.csv and TensorBoard events in `folder` and saves only what our callbacks save."""
    # Lightning's banners say what ftlab's own lines say better; its real warnings stay.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for known in (
        r".*does not have many workers.*",  # the number of workers is the user's setting, small data needs none
        r".*exists and is not empty.*",  # the run's folder is made by us, and never reused by another run
        r".*number of training batches.*smaller than the logging interval.*",  # we log once an epoch
    ):
        warnings.filterwarnings("ignore", known)
    options: dict[str, Any] = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return Trainer(
        **{**options, "max_epochs": epochs},
        callbacks=list(callbacks),
        logger=[
            CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1),
            TensorBoardLogger(folder, name="", version="tensorboard"),
        ],
        enable_progress_bar=False,  # EpochLines draws one on a terminal
        enable_model_summary=False,  # the plan says what trains
        enable_checkpointing=True,
        num_sanity_val_steps=0,  # the data is checked before
        use_distributed_sampler=False,  # ours gives each rank its part; Lightning's would shuffle once more
        inference_mode=False,  # frozen features computed in validation must stay usable by autograd
    )
