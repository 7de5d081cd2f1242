"""Three ways to fine-tune the same network on the same digits: ftlab, Lightning's BackboneFinetuning, and
finetuning-scheduler. Each makes from a Job a Trainer and a module; what is then done with them is the same for all.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, ModelCheckpoint
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from ftlab.assembly import Parts
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.cache.settings import off
from ftlab.data.base import DataSpec, Splits
from ftlab.data.module import describe
from ftlab.heads.linear import Linear
from ftlab.inputs.augment import Augment
from ftlab.model import Model
from ftlab.optimizers import sgd
from ftlab.run import loaders
from ftlab.run_settings import typed
from ftlab.schedules.constant import Constant
from ftlab.strategies.phases import Phases
from ftlab.targets.classes import Classes
from ftlab.tasks.classification import Classification
from ftlab.training import fit
from ftlab.training.saving.files import LAST
from tests.training.tiny import CLASSES, PREPROCESSING, Block, pictures

BLOCKS = ("stem", "middle", "top")
HEAD: tuple[str, ...] = ()  # blocks that train beside the head
TOP: tuple[str, ...] = ("top",)
WIDTH = 8  # channels of every block


@dataclass(frozen=True)
class Job:
    """What is asked of a way; SGD at a constant rate, the same for head and backbone."""

    phases: tuple[tuple[str, ...], ...]  # the blocks that train in each, beside the head; one epoch a phase
    norm: str = "layer"  # or batch
    drop: float = 0.0  # of dropout and of drop path
    normed_head: bool = False  # a LayerNorm of WIDTH channels in the head
    train: int = 40  # samples
    val: int = 0
    batch_size: int = 8  # over all processes
    accumulate: int = 1
    class_weights: tuple[float, ...] | None = None
    lr: float = 0.1
    momentum: float = 0.9
    world: int = 1


@dataclass
class Run:
    """A Trainer and a module that have not begun."""

    trainer: Trainer
    module: LightningModule
    model: Model
    last: Path  # the checkpoint of the last epoch that ended
    accuracy: Callable[[], float]  # of the last validation, as the user is told

    def fit(self, *callbacks: Callback, checkpoint: Path | None = None) -> "Run":
        self.trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
        self.trainer.fit(self.module, ckpt_path=checkpoint)
        return self


@dataclass(frozen=True)
class Way:
    name: str
    package: str
    build: Callable[[Job, Path], Run]
    refreezes: bool  # whether a phase may freeze what trained before


# --- what is common to all


class NormedHead(Linear):
    """A linear head on normed features, as vision transformers have it."""

    def __init__(self, num_features: int, num_outputs: int) -> None:
        super().__init__(num_features, num_outputs, "average")
        self.norm = nn.GroupNorm(1, num_features)  # a LayerNorm over channels and places

    def forward(self, features: Any, batch: Batch) -> Tensor:
        return super().forward(type(features)(maps=self.norm(features.maps)), batch)


def network(job: Job) -> Model:
    """Three blocks under a head, the same weights at each call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential()
        for name, channels in zip(BLOCKS, (3, WIDTH, WIDTH), strict=True):
            block = Block(channels, WIDTH, job.drop)
            if job.norm == "layer":
                block.norm = nn.GroupNorm(1, WIDTH)  # type: ignore[assignment]
            module.add_module(name, block)
        backbone = ModuleBackbone(module, {n: [n] for n in BLOCKS}, WIDTH, PREPROCESSING)
        head = NormedHead(WIDTH, len(CLASSES)) if job.normed_head else Linear(WIDTH, len(CLASSES), "average")
    return Model(backbone, head)


def data(job: Job) -> tuple[Splits, DataSpec]:
    val = pictures(job.val, 300) if job.val else None
    return describe("digits", Splits(pictures(job.train), val, None, Classes(CLASSES)), seed=0)


# --- ftlab


def ftlab(job: Job, folder: Path) -> Run:
    """As `ftlab train` does it, without the files of a run."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    parts, settings = ftlab_parts(job), typed(ftlab_settings(job))
    console = Console(quiet=True)
    trainer, tuner = fit.prepare(parts, settings, partial(loaders, parts, settings), folder, console)
    last = folder / "checkpoints" / LAST
    return Run(trainer, tuner, parts.model, last, lambda: tuner.history[-1]["val"]["accuracy"])


def ftlab_parts(job: Job) -> Parts:
    model = network(job)
    splits, spec = data(job)
    weights = list(job.class_weights) if job.class_weights else "none"
    phases = [
        {
            "name": f"{i}",
            "epochs": 1,
            "stages": {"head/*": 1.0, **{f"backbone/{b}": 1.0 if b in blocks else "frozen" for b in BLOCKS}},
        }
        for i, blocks in enumerate(job.phases)
    ]
    return Parts(
        splits,
        spec,
        PREPROCESSING,
        Augment(),
        model,
        Classification(spec, class_weights=weights),
        Phases(inline=tuple(phases)).phases(model.addresses, len(phases)),
        dict.fromkeys(model.addresses, 1.0),
        Constant(),
        sgd(job.lr, 0.0, False, momentum=job.momentum, nesterov=False),
        off(),  # the checks look at the frozen part in every step, which a cache would leave out
    )


def ftlab_settings(job: Job) -> dict[str, Any]:
    trainer = {
        "max_epochs": len(job.phases),
        "precision": "32-true",
        "accelerator": "cpu",
        "devices": job.world,
        "num_nodes": 1,
        "strategy": "ddp" if job.world > 1 else "auto",
        "accumulate_grad_batches": job.accumulate,
        "gradient_clip_val": None,
        "deterministic": False,
    }
    loading = {"batch_size": job.batch_size, "num_workers": 0}
    saving = {"every_n_steps": None, "every_minutes": None}
    said = {"backbone": {}, "head": {}, "task": {}, "strategy": {"_target_": "ftlab.strategies.phases.Phases"}}
    run = {"seed": 0, "monitor": "loss", "resume": None, "optimizer": {"lr": job.lr}}
    return {**run, "trainer": trainer, "data": loading, "checkpoint": saving, **said}


# --- the other two: a LightningModule as their documentation writes it, and their callback


class Plain(LightningModule):
    def __init__(self, model: Model, job: Job) -> None:
        super().__init__()
        self.backbone, self.head, self.job = model.backbone, model.head, job
        self.weights: Tensor | None
        self.register_buffer("weights", torch.tensor(job.class_weights) if job.class_weights else None)
        self.accuracy = MulticlassAccuracy(len(CLASSES), average="micro")

    def loss(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        batch = Batch(targets=targets, index=torch.arange(len(targets)), inputs={"images": images})
        outputs = self.head(self.backbone(batch), batch)
        return functional.cross_entropy(outputs, targets, self.weights), outputs

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.loss(*batch)[0]

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        loss, outputs = self.loss(*batch)
        self.accuracy(outputs, batch[1])
        self.log("val_loss", loss, sync_dist=True)
        self.log("val_accuracy", self.accuracy)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.head.parameters(), lr=self.job.lr, momentum=self.job.momentum)

    def train_dataloader(self) -> DataLoader[Any]:
        return self.batches("train")

    def val_dataloader(self) -> Any:
        return self.batches("val") if self.job.val else []

    def batches(self, split: str) -> DataLoader[Any]:
        """Not shuffled, so that a resumed run meets the same samples: the kinder case."""
        parts, settings = ftlab_parts(self.job), typed(ftlab_settings(self.job))
        made = list(loaders(parts, settings).loader(split, False))
        tensors = TensorDataset(torch.cat([b.inputs["images"] for b in made]), torch.cat([b.targets for b in made]))
        return DataLoader(tensors, batch_size=self.job.batch_size // self.job.world)


def plain(job: Job, folder: Path, *callbacks: Callback) -> Run:
    model = network(job)
    trainer = Trainer(
        max_epochs=len(job.phases),
        accelerator="cpu",
        devices=job.world,
        strategy="ddp" if job.world > 1 else "auto",
        accumulate_grad_batches=job.accumulate,
        callbacks=list(callbacks),
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = Plain(model, job)
    return Run(trainer, module, model, folder / "last.ckpt", lambda: float(trainer.callback_metrics["val_accuracy"]))


def stock(job: Job, folder: Path) -> Run:
    """BackboneFinetuning knows one thaw, of the whole backbone: in the first phase in which any of it trains."""
    thaw = next((i for i, blocks in enumerate(job.phases) if blocks), len(job.phases) + 1)
    callback = BackboneFinetuning(thaw, lambda_func=constant, backbone_initial_ratio_lr=1.0)
    return plain(job, folder, callback, ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=True))


def constant(epoch: int) -> float:
    return 1.0


def scheduler(job: Job, folder: Path) -> Run:
    """finetuning-scheduler by epochs; each phase of its schedule lists what thaws in addition."""
    from finetuning_scheduler import FinetuningScheduler, FTSCheckpoint

    names = [name for name, _ in network(job).named_parameters()]
    schedule: dict[int, dict[str, Any]] = {}
    thawed: set[str] = set()
    for epoch, blocks in enumerate(job.phases):
        parts = ("head.", *(f"backbone.model.{block}." for block in blocks))
        fresh = [n for n in names if n.startswith(parts) and n not in thawed]
        if fresh:
            schedule[len(schedule)] = {"params": fresh, "max_transition_epoch": len(job.phases), "lr": job.lr}
            if len(schedule) > 1:
                schedule[len(schedule) - 2]["max_transition_epoch"] = epoch
        thawed.update(fresh)
    callback = FinetuningScheduler(
        ft_schedule=copy.deepcopy(schedule),
        epoch_transitions_only=True,
        restore_best=False,
        base_max_lr=job.lr,
        log_dir=folder,
    )
    return plain(job, folder, callback, FTSCheckpoint(folder, save_last=True, save_on_train_epoch_end=True))


FTLAB = Way("ftlab", "ftlab", ftlab, refreezes=True)
STOCK = Way("BackboneFinetuning", "lightning", stock, refreezes=False)
SCHEDULER = Way("FinetuningScheduler", "finetuning-scheduler", scheduler, refreezes=False)


def installed() -> list[Way]:
    """finetuning-scheduler is in the extra `bench`."""
    return [FTLAB, STOCK, *([SCHEDULER] if find_spec("finetuning_scheduler") else [])]
