"""Steps of whole networks as they are beside torch.compile's: python -m tests.benchmarks.compiled [NETWORK ...]

64 pixels, batches of 32, BatchNorm frozen, the device that torch finds; one thread. Seconds of a step are medians of an
interleaved run, those of the first step, which compiles, are wall-clock with all processes that it starts.
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import timm
import torch
from torch import Tensor, nn

from ftlab.backbones.layout import channels_last

NETWORKS = ("resnet10t", "resnet18")
ROUNDS = 7


def step(run: Callable[[Tensor], Tensor], model: nn.Module, images: Tensor) -> float:
    start = time.perf_counter()
    model.zero_grad()
    run(images).square().mean().backward()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def seconds(name: str) -> tuple[float, float, float]:
    """Of a step as it is, of a compiled one, and of the first compiled one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plain = timm.create_model(name, num_classes=10).train().to(device)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    other, images = copy.deepcopy(plain), torch.randn(32, 3, 64, 64, device=device)
    run, found = torch.compile(other.forward), []
    with channels_last(plain, device), channels_last(other, device):
        first = step(run, other, images)
        for _ in range(ROUNDS):
            found.append((step(plain, plain, images), step(run, other, images)))
    before, after = zip(*found[1:], strict=True)
    return median(before), median(after), first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    torch.set_num_threads(1)
    print("| network | as it is ms | compiled ms | ratio | first step s |\n|---|---|---|---|---|")
    for name in parser.parse_args().networks:
        before, after, first = seconds(name)
        print(f"| {name} | {1e3 * before:.0f} | {1e3 * after:.0f} | {before / after:.2f} | {first:.0f} |", flush=True)


if __name__ == "__main__":
    main()
