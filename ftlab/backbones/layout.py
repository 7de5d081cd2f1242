"""The order in which the numbers of maps lie in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def channels_last(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Meanwhile the weights of convolutions lie with the channels last on a CPU, and maps follow them.

    Measured with one thread, steps of whole networks: 1.55 times as fast with tf_efficientnet_lite0 at 64 pixels, 1.43
    with regnetx_002, 1.27 with mobilenetv3_small_100, 1.17 with densenet121, 0.98 to 1.08 with resnet18, resnet50 and
    convnext_atto (python -m tests.benchmarks.layout). On a GPU it was not measured, and nothing is changed.
    """
    if device.type == "cpu":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
