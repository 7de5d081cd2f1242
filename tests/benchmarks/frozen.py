"""The frozen forward pass as it is, with BatchNorm folded, channels last, and both, as ftlab/backbones/folded.py does
it: python -m tests.benchmarks.frozen [--rounds 3]

Takes ten minutes. CPU seconds of one thread, the least of the rounds, in which the ways take turns; each over that of
the network as it is, in evaluation and without gradients. The last column is the largest difference of a feature from
that network's, beside the one that half the batch size makes, both over the standard deviation of the features.
"""

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, fx, nn

from ftlab.backbones.border import Traced
from ftlab.backbones.folded import fast, fold
from ftlab.backbones.weights import PACKAGED, load_packaged

LAST = torch.channels_last


def ways(net: nn.Module, images: Tensor) -> dict[str, Callable[[], Any]]:
    """Each on images that lie in memory as ftlab gives them: not channels last."""
    traced = Traced(net)
    output = next(node for node in traced.graph.nodes if node.op == "output")
    graph = traced.before([output.args[0].name])
    folded = copy.deepcopy(fx.GraphModule(net, graph)).eval()
    fold(folded)
    last = copy.deepcopy(net).to(memory_format=LAST)  # type: ignore[call-overload]
    both = fast(net, graph)
    return {
        "as it is": lambda: net(images),
        "folded": lambda: folded(images)[0],
        "channels last": lambda: last(images.contiguous(memory_format=LAST)),
        "both": lambda: both(images)[0],
    }


def seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def apart(a: Tensor, b: Tensor) -> str:
    return f"{float((a - b).abs().max() / b.std()):.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    net = timm.create_model(PACKAGED, num_classes=0).eval()
    load_packaged(net)
    print("| pixels, batch | as it is, ms an image | folded | channels last | both | apart / by batch size |")
    print("|---|--:|--:|--:|--:|--:|")
    with torch.inference_mode():
        for side in (64, 224):
            for batch in (16, 32, 64, 128):
                images = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
                row(net, images, rounds)


def row(net: nn.Module, images: Tensor, rounds: int) -> None:
    runs = ways(net, images)
    least = {name: min(times) for name, times in timed(runs, rounds).items()}
    whole = runs["as it is"]()
    halves = torch.cat([net(part) for part in images.chunk(2)])
    own = least.pop("as it is")
    cells = [f"{images.shape[-1]}, {len(images)}", f"{1000 * own / len(images):.2f}"]
    cells += [f"{value / own:.2f}" for value in least.values()]
    cells.append(f"{apart(runs['both'](), whole)} / {apart(halves, whole)}")
    print("| " + " | ".join(cells) + " |", flush=True)


def timed(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            spent = seconds(run)
            if number:  # the first call prepares
                times[name].append(spent)
    return times


if __name__ == "__main__":
    main()
