"""A training loop as one writes it by hand."""

import torch
from torch.nn.functional import cross_entropy

from tests.benchmarks.job import LR, SHARE, Job, Loader, Network


def fit(net: Network, job: Job, loader: Loader) -> None:
    """All in evaluation mode, so that BatchNorm is frozen; what is frozen runs without gradients."""
    net.eval()
    backbone = list(net.last(max(count for _, count in job.phases)).parameters())
    groups = [{"params": list(net.head.parameters())}, {"params": backbone, "lr": LR * SHARE}]
    optimizer = torch.optim.AdamW(groups, LR, weight_decay=0.0)
    for epochs, count in job.phases:
        prefix, suffix = net.cut(count)
        prefix.requires_grad_(False)
        suffix.requires_grad_(True)
        for _ in range(epochs):
            for images, targets in loader:
                with torch.no_grad():
                    values = prefix(images)
                loss = cross_entropy(net.head(suffix(values)), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
