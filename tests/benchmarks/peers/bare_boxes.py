"""A training loop for boxes as one writes it by hand, and its judgement of val."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchmetrics.detection import MeanAveragePrecision

from ftlab.assembly import Parts
from ftlab.data.base import Samples
from ftlab.data.module import collate
from ftlab.data.sampling import KeyedDataset
from tests.benchmarks.job import Epochs

LEAST, OVERLAP, MOST = 0.05, 0.5, 100  # score, overlap and number of boxes that are judged


def fit(parts: Parts, settings: Mapping[str, Any]) -> float:
    """All in evaluation mode but the head, so that BatchNorm is frozen. Gives val's map after the last epoch."""
    net, lr = parts.model.to(memory_format=torch.channels_last), settings["optimizer"]["lr"]
    optimizer = torch.optim.AdamW(net.parameters(), lr, weight_decay=0.0)
    size = settings["data"]["batch_size"]
    train, val = loader(parts, parts.splits.train, size, True), loader(parts, parts.splits.val, size, False)
    found = 0.0
    for _ in range(settings["trainer"]["max_epochs"]):
        net.eval()
        net.head.train()
        for batch in train:
            total, weight = net(batch).losses(batch.targets)
            optimizer.zero_grad()
            (total / weight.clamp(min=1)).backward()
            optimizer.step()
        found = judged(net.eval(), val)
    return found


@torch.inference_mode()
def judged(net: torch.nn.Module, val: DataLoader[Any]) -> float:
    metric = MeanAveragePrecision(backend="faster_coco_eval")
    for batch in val:
        found = net(batch).found(LEAST, OVERLAP, MOST)
        true = [{"boxes": one["boxes"], "labels": one["labels"]} for one in batch.targets.samples()]
        metric.update(found, true)
    return float(metric.compute()["map"])


def loader(parts: Parts, samples: Samples, size: int, shuffle: bool) -> DataLoader[Any]:
    """Batches as ftlab makes them, in its order."""
    data = KeyedDataset(samples, parts.preprocessing.transform(), seed=0, target=parts.splits.target)
    together = partial(collate, preprocessing=parts.preprocessing, target=parts.splits.target)
    return DataLoader(data, batch_sampler=Epochs(len(samples), size, shuffle, seed=0), collate_fn=together)
