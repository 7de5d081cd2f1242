"""What the features of a frozen network tell of some data, by one pass over them: scores, and a cross-validated head.

Shapes: n samples, d features.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.assembly import Parts
from ftlab.batch import Batch
from ftlab.choosing.scores import columns, h_score, log_evidence
from ftlab.convex.logistic import FOLDS
from ftlab.convex.logistic import parts as dealt
from ftlab.data.module import DataModule
from ftlab.evaluation import Evaluation
from ftlab.tasks.base import Task
from ftlab.training.phases.features import FeatureStore, compute

BATCH = 32


@dataclass(frozen=True)
class Probe:
    """Of one network; None where a score has no meaning."""

    network: str
    log_evidence: float | None = None
    h_score: float | None = None
    figure: float | None = None  # the task's objective on samples that the head was not fitted on
    seconds: float | None = None  # of the pass
    why_not: str | None = None

    def told(self) -> dict[str, Any]:
        return asdict(self)


def probe(parts: Parts, folder: Any, seed: int) -> Probe:
    """folder: for features that do not fit into memory. Deterministic but for `seconds`."""
    layer, task = parts.model.head.last_layer, parts.task
    network = parts.model.backbone.name
    if not isinstance(layer, nn.Linear) or task.refuses_convex():
        return Probe(network, why_not="the task's last layer has no fit in closed form")
    began = time.perf_counter()
    features = features_of(parts, layer, folder, seed)
    seconds = time.perf_counter() - began
    targets: Any = parts.splits.train.targets
    classes = len(parts.spec.target.described()["classes"] or ())
    return Probe(
        network,
        log_evidence(features, columns(targets, classes)),
        h_score(features, targets) if targets.ndim == 1 else None,
        cross_validated(task, features, targets, folds_of(parts, targets)),
        seconds,
    )


def features_of(parts: Parts, layer: nn.Linear, folder: Any, seed: int) -> Tensor:
    """(n, d) what the head's layer is given of each training sample, as in evaluation."""
    data = DataModule(parts.splits, parts.spec, parts.preprocessing, parts.augment, BATCH, 0, seed)
    store = FeatureStore(len(parts.splits.train), layer.in_features, folder / "features-0.bin")
    compute(parts.model, layer, data.in_order("train", None, BATCH), store)
    found = store.rows.clone()
    store.close()
    return found


def folds_of(parts: Parts, targets: Tensor) -> Tensor:
    """(n,) the part of each sample; what belongs together is in one."""
    groups, _ = parts.splits.train.together
    if groups is not None:
        return groups.unique(return_inverse=True)[1] % FOLDS
    return dealt(targets if targets.ndim == 1 else torch.zeros(len(targets), dtype=torch.long), FOLDS)


def cross_validated(task: Task, features: Tensor, targets: Tensor, folds: Tensor) -> float | None:
    """The objective on samples that the head was not fitted on; its strength is that of a fit to all of them."""
    strength = task.last_layer(features, targets, None).strength
    found = Evaluation(task, len(features), shared=False)
    for fold in folds.unique().tolist():
        held = folds == fold
        fitted = task.last_layer(features[~held], targets[~held], strength)
        outputs = features[held].double() @ fitted.weight.T + fitted.bias
        places = held.nonzero().flatten()
        found.update(outputs.float(), Batch(targets[places], places))
    return found.figures()[0][task.objective]


def ranking(probes: "list[Probe]", own: str) -> list[tuple[str, float]]:
    """Other networks than `own`, the most promising first, each with the time it takes beside that of `own`."""
    of_own = next((one.seconds for one in probes if one.network == own), None)
    others = [one for one in probes if one.network != own and one.log_evidence is not None]
    ordered = sorted(others, key=lambda one: -(one.log_evidence or 0.0))
    return [(one.network, (one.seconds or 0.0) / of_own if of_own else 1.0) for one in ordered]
