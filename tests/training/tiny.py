"""A network of three stages and samples that train in milliseconds, and a run that can be looked into.

Shapes: n samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from sklearn.datasets import load_digits
from timm.layers import DropPath
from torch import Tensor, nn

from ftlab.assembly import Parts, assemble
from ftlab.backbones.base import Backbone
from ftlab.backbones.module import ModuleBackbone
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule
from ftlab.inputs.images.files import ArrayImages
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.run import loaders
from ftlab.run_settings import RunSettings, typed
from ftlab.targets.classes import Classes
from ftlab.training.finetuner import FineTuner
from ftlab.training.fit import prepare
from ftlab.training.trainer import only_news

CLASSES = ("0", "1", "2", "3")
STAGES = ("backbone/stem", "backbone/middle", "backbone/top", "head/fc")
PREPROCESSING = Preprocessing(size=(8, 8), mean=(0.3, 0.3, 0.3), std=(0.4, 0.4, 0.4))


def pictures(count: int, first: int = 0, classes: int = len(CLASSES)) -> Samples:
    """`count` digits of the first `classes` classes, from the `first` of these on."""
    data = load_digits()
    places = np.flatnonzero(data.target < classes)[first : first + count]
    pixels = np.round(data.images[places] * (255 / 16)).astype(np.uint8)
    return Samples(ArrayImages(pixels), torch.from_numpy(data.target[places]).long())


def splits(train: int = 40) -> Splits:
    return Splits(pictures(train), pictures(20, 200), pictures(21, 300), Classes(CLASSES))


class Block(nn.Module):
    """Convolution, BatchNorm, dropout; with a drop path its output is added to its input."""

    def __init__(self, channels: int, width: int, drop: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.GELU()
        self.dropout = nn.Dropout(drop)
        self.drop_path = DropPath(drop)

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(1, keepdim=True) + self.drop_path(self.dropout(self.act(self.norm(self.conv(maps)))))


def tiny_backbone(drop: float = 0.3, seed: int = 0) -> ModuleBackbone:
    """Three blocks of 4, 6 and 8 channels for images of 8 by 8 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential()
        for name, channels, width in (("stem", 3, 4), ("middle", 4, 6), ("top", 6, 8)):
            module.add_module(name, Block(channels, width, drop))
    stages = {name: [name] for name in ("stem", "middle", "top")}
    return ModuleBackbone(module, stages, num_features=8, preprocessing=PREPROCESSING)


BASE = (
    "trainer.accelerator=cpu", "trainer.precision=32-true", "data.image_size=8", "data.batch_size=8",
    "optimizer.lr=0.01", "schedule=constant", "schedule.warmup=0", "task.label_smoothing=0.0",
    "monitor=loss",
)  # fmt: skip


@dataclass
class Run:
    """Parts and the Trainer of a run that has not begun."""

    parts: Parts
    trainer: Trainer
    finetuner: FineTuner

    def fit(self, *callbacks: Callback) -> "Run":
        self.trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
        with only_news():
            self.trainer.fit(self.finetuner)
        return self

    def state(self) -> dict[str, Tensor]:
        """A copy of all weights and buffers of the model."""
        return {name: value.clone() for name, value in self.parts.model.state_dict().items()}


def console() -> Console:
    return Console(file=StringIO())


def parts_of(
    *overrides: str,
    drop: float = 0.3,
    data: Splits | None = None,
    backbone: Backbone | None = None,
    seed: int = 0,
    **changed: Any,
) -> tuple[Parts, RunSettings, Callable[..., DataModule]]:
    """Parts, settings and data of a run of the tiny network or `backbone`; `changed` replaces whole keys."""
    settings: dict[str, Any] = {**plainly(compose([*BASE, *overrides]), resolve=True), **changed}
    torch.manual_seed(seed)  # of the head's first weights
    parts = assemble(settings, data or splits(), backbone or tiny_backbone(drop, seed))
    own = typed(settings)
    return parts, own, partial(loaders, parts, own)


def prepared(folder: Path, *overrides: str, **given: Any) -> Run:
    """A run that has not begun, of `parts_of` the same."""
    (folder / "checkpoints").mkdir(parents=True)
    parts, settings, make_data = parts_of(*overrides, **given)
    return Run(parts, *prepare(parts, settings, make_data, folder, console()))


@dataclass
class Epoch:
    """What the callback saw of one epoch."""

    phase: str
    before: dict[str, Tensor]
    after: dict[str, Tensor]


@dataclass
class Watch(Callback):
    """Weights and buffers at both ends of each epoch, after the callbacks of ftlab had their turn."""

    epochs: list[Epoch] = field(default_factory=list)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self.before = self.state(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self.epochs.append(Epoch(pl_module.running.name, self.before, self.state(pl_module)))

    @staticmethod
    def state(module: FineTuner) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in module.model.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The names of weights and buffers that are not bit-equal."""
    return {name for name in before if not torch.equal(before[name], after[name])}


def parameters_of(run: Run, stages: Sequence[str]) -> set[str]:
    return {name for stage in run.parts.model.stages if stage.name in stages for name in stage.parameters}
