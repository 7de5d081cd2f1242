"""Steps of whole networks with the channels of maps last beside the usual order: python -m tests.benchmarks.layout

Medians of CPU seconds of an interleaved run with one thread, everything trainable, BatchNorm frozen.
"""

import copy
import time
from statistics import median

import timm
import torch
from torch import nn

from ftlab.backbones.depthwise import by_taps

NETWORKS = (
    ("tf_efficientnet_lite0", 64, 32),
    ("mobilenetv3_small_100", 64, 32),
    ("regnetx_002", 64, 32),
    ("resnet18", 64, 32),
    ("resnet18", 224, 8),
    ("resnet50", 128, 8),
    ("convnext_atto", 64, 32),
    ("densenet121", 64, 16),
)
ROUNDS = 7


def step(model: nn.Module, images: torch.Tensor, optimizer: torch.optim.Optimizer) -> float:
    start = time.process_time()
    optimizer.zero_grad()
    model(images).square().mean().backward()
    optimizer.step()
    return time.process_time() - start


def seconds(name: str, size: int, batch: int) -> tuple[float, float]:
    """Of a step in the usual order, and with the channels last."""
    usual = timm.create_model(name, num_classes=10).train()
    for module in usual.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    models = [usual, copy.deepcopy(usual).to(memory_format=torch.channels_last)]  # type: ignore[call-overload]
    optimizers = [torch.optim.AdamW(model.parameters(), 1e-4, fused=True) for model in models]
    images, found = torch.randn(batch, 3, size, size), []
    with by_taps(models[0]), by_taps(models[1]):
        for _ in range(ROUNDS):
            found.append([step(model, images, opt) for model, opt in zip(models, optimizers, strict=True)])
    before, after = zip(*found[1:], strict=True)
    return median(before), median(after)


def main() -> None:
    torch.set_num_threads(1)
    print("| network | pixels | batch | usual ms | channels last ms | ratio |\n|---|---|---|---|---|---|")
    for name, size, batch in NETWORKS:
        before, after = seconds(name, size, batch)
        row = f"{size} | {batch} | {1e3 * before:.0f} | {1e3 * after:.0f} | {before / after:.2f}"
        print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
