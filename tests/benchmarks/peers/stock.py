"""Stock Lightning with its callbacks for fine-tuning."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, BaseFinetuning, Checkpoint
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.benchmarks.job import LR, SHARE, Job, Loader, Network


class Module(LightningModule):
    def __init__(self, net: Network) -> None:
        super().__init__()
        self.backbone, self.head = net.backbone, net.head

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = batch
        return cross_entropy(self.head(self.backbone(images)), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), LR, weight_decay=0.0)


class Thaws(BaseFinetuning):
    """Several thaws, as the documentation of BackboneFinetuning's base class does it; both leave all BatchNorm
    training, frozen stages' too, so that every step goes back through the whole network."""

    def __init__(self, net: Network, job: Job) -> None:
        super().__init__()
        self.net, self.job = net, job

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        for begins, fresh in self.net.thaws(self.job):
            if epoch == begins:
                self.unfreeze_and_add_param_group(fresh, optimizer, lr=LR * SHARE)


def fit(net: Network, job: Job, loader: Loader) -> None:
    head_only = BackboneFinetuning(unfreeze_backbone_at_epoch=job.epochs + 1)  # never
    train(net, job, loader, head_only if len(job.phases) == 1 else Thaws(net, job))


def train(net: Network, job: Job, loader: Loader, *callbacks: Callback) -> None:
    """Without what only costs time here: loggers, bars, checkpoints that no callback asks for."""
    Trainer(
        max_epochs=job.epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        default_root_dir=job.folder,
        logger=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Module(net), loader)
