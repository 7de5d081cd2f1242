"""The callback of convex phases: one epoch gives the features, at its last batch the head's last layer is fitted.

The epoch is one like any other (checkpoints, resume, validation, report), but for the optimizer, which finds no
gradient. Shapes: n samples, d features.
"""

from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from ftlab.batch import Batch
from ftlab.convex.standardised import Standardised
from ftlab.evaluation import on_device
from ftlab.heads.estimator import Estimator
from ftlab.model import Model
from ftlab.tasks.base import Task
from ftlab.training.finetuner import FineTuner
from ftlab.training.phases.features import FeatureStore, Listener, compute

CHUNK = 8192  # samples


class ConvexFit(Callback):
    """Beside Unfreezing, which has put every module into evaluation mode and the head among what trains."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # the run's, for features that do not fit into memory
        self.store: FeatureStore | None = None

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        """An epoch that goes on in its middle: features are not saved, so those of the batches before come again."""
        if not pl_module.interrupted or pl_module.phase.fit != "convex":
            return
        store = self._begin(trainer, pl_module)
        loader = pl_module.train_loader()
        precision, strategy = trainer.precision_plugin, trainer.strategy
        compute(
            pl_module.model,
            layer_of(pl_module),
            islice(loader, pl_module.interrupted["batches"]),
            store,
            lambda batch: strategy.batch_to_device(precision.convert_input(batch)),
            precision.train_step_context,
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if pl_module.phase.fit == "convex":
            self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, module: FineTuner) -> FeatureStore:
        samples, layer = len(module.data().samples("train")), layer_of(module)
        self.store = FeatureStore(samples, layer.in_features, self.folder / f"features-{trainer.global_rank}.bin")
        self.listener = Listener(layer)
        return self.store

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: FineTuner, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self.store is None:
            return
        self.store.put(batch.index, self.listener.heard)
        if batch_idx + 1 == trainer.num_training_batches:
            self._fit(trainer, pl_module, self.store)
            self._end()

    def _fit(self, trainer: Trainer, module: FineTuner, store: FeatureStore) -> None:
        """Rank 0 fits, for all: the same sums on another processor may round differently."""
        if trainer.world_size > 1:
            gather(trainer, store.rows)
        targets, layer = module.data().samples("train").targets, layer_of(module)
        said: dict[str, Any] = {}
        if trainer.is_global_zero:
            unread, below = chance(module), below_of(module.model)
            said = fit_layer(layer, module.task, store.rows, targets, module.running.C, unread, below)
            add_loss(module, layer, store.rows)
        if trainer.world_size > 1:
            state = {name: value.cpu() for name, value in layer.state_dict().items()}
            state, said = trainer.strategy.broadcast((state, said))
            layer.load_state_dict(state)
        module.convex = said
        if not said["converged"]:
            module.warned[f"phase {module.running.name}: the convex fit ended before it had converged"] = 1

    def _end(self) -> None:
        if self.store is not None:
            self.store.close()
            self.listener.close()
            self.store = None

    def on_exception(self, trainer: Trainer, *_: Any) -> None:
        self._end()


def layer_of(module: FineTuner) -> nn.Linear | Estimator:
    layer = module.model.head.last_layer
    assert isinstance(layer, nn.Linear | Estimator), "checked when the run was put together"
    return layer


def chance(module: FineTuner) -> int:
    """How many features, the last ones, are still as chance made them; a fit that took them would learn by heart."""
    backbone, phases = module.model.backbone, module.plan.phases
    before = phases[: [phase.name for phase in phases].index(module.running.name)]
    trained = any(stage.startswith("backbone/") for phase in before for stage in phase.trainable)
    return 0 if trained or backbone.loaded.source != "random" else backbone.chance


def below_of(model: Model) -> int:
    """How many features, the last ones, are of layers below."""
    backbone, layer = model.backbone, model.head.last_layer
    assert isinstance(layer, nn.Linear | Estimator), "checked when the run was put together"
    return backbone.below if layer.in_features == backbone.num_features + backbone.below else 0


def fit_layer(
    layer: nn.Linear | Estimator,
    task: Task,
    features: Tensor,
    targets: Tensor,
    strength: float | None,
    unread: int = 0,
    below: int = 0,
) -> dict[str, Any]:
    """Fit `layer` to features (n, d); what the report says of it.

    unread: how many, the last, get the weight 0. below: how many of the others, the last, get it too where a fit
    without them misses less on samples that it has not seen: of some texts layers below tell more than the last one
    alone, and of others they only make it harder to learn from few.
    """
    read = features.shape[1] - unread
    if isinstance(layer, Estimator):
        features[:, read:] = 0.0  # a constant tells a learner nothing
        rows = Standardised(features)
        values, weights = task.for_estimator(targets)
        layer.fit(features, values, rows.mean, rows.scale, weights)
        return {"estimator": layer.name, "converged": True}
    fits = [task.last_layer(features[:, :used], targets, strength) for used in dict.fromkeys((read, read - below))]
    fitted = min(fits, key=lambda fit: inf if fit.missed is None else fit.missed)  # the first where none tells
    read = fitted.weight.shape[1]
    with torch.no_grad():
        layer.weight[:, read:] = 0.0
        layer.weight[:, :read].copy_(fitted.weight), layer.bias.copy_(fitted.bias)
    said = {"C": fitted.strength, "converged": fitted.converged}
    return {**said, "layers_below": read == features.shape[1] - unread} if below else said


def gather(trainer: Trainer, rows: Tensor) -> None:
    """Every rank has put its own samples into `rows` (n, d), the others are 0: the sum is all of them, to the bit."""
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK].to(trainer.strategy.root_device)
        rows[start : start + CHUNK] = trainer.strategy.reduce(part, reduce_op="sum").cpu()  # type: ignore[union-attr]


def add_loss(module: FineTuner, layer: nn.Linear | Estimator, rows: Tensor) -> None:
    """The task's own loss on the train split under the new layer, as the epoch's training loss."""
    device, dtype, data = module.device, next(module.model.parameters()).dtype, module.data()
    for start in range(0, len(rows), CHUNK):
        places = torch.arange(start, min(start + CHUNK, len(rows)))
        with torch.no_grad():
            outputs = layer(rows[start : start + CHUNK].to(device, dtype))
        targets = data.spec.target.gathered(data.samples("train").targets, places)
        module.train_loss.add(*module.task.loss(outputs, on_device(Batch(targets, places), device)))
