"""When summing depthwise weights' gradient by taps pays: python -m tests.benchmarks.depthwise [--threads 1]

Prints a line a shape: kernel, stride, side of the input map, batch, channels, the CPU milliseconds (wall-clock with
more than one thread) of one weight gradient by torch and by taps, their ratio, and what ftlab/backbones/depthwise.py
decides, with an arrow where that is slower by a quarter or more. With --steps it prints whole training steps instead,
with --padding what it saves to copy no image where the padding differs by side.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import product
from statistics import median

import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from ftlab.backbones.base import Features
from ftlab.backbones.depthwise import by_taps, pays, shifted, weight_gradient
from ftlab.backbones.image import TimmBackbone
from ftlab.batch import Batch

KERNELS, STRIDES, SIDES = (3, 5, 7), (1, 2), (1, 2, 3, 4, 7, 8, 14, 16, 32)
BATCHES, CHANNELS = (8, 32, 64), (32, 144, 1152)
LARGEST = 4e6  # numbers in a map: what is larger takes too long to measure
SECONDS = 0.01  # that each way is repeated for, in each of three rounds


def clock(way: Callable[[], Tensor], now: Callable[[], float]) -> float:
    count, start = 0, now()
    while count < 1 or now() - start < SECONDS:
        way()
        count += 1
    return (now() - start) / count


def ways(kernel: int, stride: int, side: int, batch: int, channels: int, last: bool) -> list[Callable[[], Tensor]]:
    order = torch.channels_last if last else torch.contiguous_format
    pad = kernel // 2
    images = torch.randn(batch, channels, side, side).contiguous(memory_format=order)
    weight = torch.randn(channels, 1, kernel, kernel)
    outputs = functional.conv2d(images, weight, None, stride, pad, groups=channels)
    gradient = torch.randn_like(outputs)
    backward = torch.ops.aten.convolution_backward
    plan = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], channels, [False, True, False])
    return [
        lambda: backward(gradient, images, weight, None, *plan)[1],
        lambda: weight_gradient(images, gradient, kernel, (stride, stride), (pad, pad)),
    ]


def steps(side: int, batch: int, rounds: int = 7) -> None:
    """Whole steps of the default network, as it is and by taps, interleaved.

    All stages train, or the last two, or these from values at the freeze border that are there already.
    """
    backbone = TimmBackbone(pretrained=False, image_size=side)
    head, optimizer = nn.Linear(backbone.num_features, 10), torch.optim.AdamW(backbone.parameters(), 1e-4)
    images, targets = torch.randn(batch, 3, side, side), torch.randint(10, (batch,))
    samples = Batch(targets=targets, index=torch.arange(batch), inputs={"images": images})
    last = {name for stage in backbone.stages[-2:] for name in stage.parameters}
    prefix, suffix = backbone.cut(last)
    kept = prefix.eval()(images)
    backbone.train()

    def step(forward: Callable[[], Features]) -> None:
        maps = forward().maps
        assert maps is not None
        functional.cross_entropy(head(maps.mean((2, 3))), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    everything = {name for name, _ in backbone.named_parameters()}
    whole, part = (lambda: backbone(samples)), (lambda: suffix(*kept))
    for name, wanted, forward in (
        ("all stages", everything, whole),
        ("the last two stages", last, whole),
        ("the last two from the border", last, part),
    ):
        for path, parameter in backbone.named_parameters():
            parameter.requires_grad_(path in wanted)
        found: list[list[float]] = []
        for _ in range(rounds + 1):  # the first warms up
            found.append([])
            for context in (nullcontext(), by_taps(backbone)):
                with context:
                    start = time.process_time()
                    step(forward)
                    found[-1].append(time.process_time() - start)
        plain, taps = (1000 * median(column) for column in zip(*found[1:], strict=True))
        print(f"{name} at {side} px, batch {batch}: {plain:.0f} ms by torch, {taps:.0f} by taps: {plain / taps:.2f}x")


@torch.no_grad()
def padding(batch: int = 64) -> None:
    """The four such convolutions of the default network at 64 pixels, channels last, as it is and by `shifted`."""
    for channels, kernel, side in ((96, 3, 32), (144, 5, 16), (240, 3, 8), (672, 5, 4)):
        conv = Conv2dSame(channels, channels, kernel, stride=2, groups=channels).to(memory_format=torch.channels_last)
        images = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
        ways = [partial(conv, images), partial(shifted, conv, images)]
        rounds = [[clock(way, time.process_time) for way in ways] for _ in range(5)]
        padded, moved = (1000 * median(column) for column in zip(*rounds, strict=True))
        ratio = f"{padded:.2f} ms padded, {moved:.2f} shifted: {padded / moved:.2f}x"
        print(f"kernel {kernel}, {channels} x {side} px: {ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--kernels", type=int, nargs="+", default=KERNELS)
    parser.add_argument("--padding", action="store_true")
    parser.add_argument("--steps", type=int, nargs="+", metavar="PIXELS", help="whole steps at these sizes")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for side in chosen.steps or ():
        steps(side, batch=32)
    if chosen.padding:
        padding()
    if chosen.steps or chosen.padding:
        return
    now = time.process_time if chosen.threads == 1 else time.perf_counter
    print(
        f"{'kernel':>6} {'stride':>6} {'side':>5} {'batch':>5} {'chans':>5} {'torch':>8} {'taps':>8} {'ratio':>6}  pays"
    )
    for shape in product(chosen.kernels, STRIDES, SIDES, BATCHES, CHANNELS):
        kernel, stride, side, batch, channels = shape
        if batch * channels * side * side > LARGEST:
            continue
        both = ways(*shape, chosen.channels_last)
        rounds = [[clock(way, now) for way in both] for _ in range(3)]
        torchs, taps = (1000 * median(column) for column in zip(*rounds, strict=True))
        decided = "yes" if pays(kernel, side, batch * channels, chosen.channels_last, chosen.threads) else "no"
        wrong = " <--" if (decided == "yes") != (taps < torchs) and not 0.8 < torchs / taps < 1.25 else ""
        numbers = f"{kernel:>6} {stride:>6} {side:>5} {batch:>5} {channels:>5}"
        print(f"{numbers} {torchs:>8.3f} {taps:>8.3f} {torchs / taps:>6.2f}  {decided}{wrong}", flush=True)


if __name__ == "__main__":
    main()
