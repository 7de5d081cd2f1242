"""What the last layer of a head is given, for all samples of a split: computed once, in memory or on disk.

Shapes: n samples, b batch, d features.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ftlab.batch import Batch
from ftlab.evaluation import on_device
from ftlab.model import Model

MEMORY = 2**31  # bytes of features that are held in memory; more lie in a file


class FeatureStore:
    """Features (n, d) float32 of a split by the place of each sample, `rows`; all 0 until they are put there."""

    def __init__(self, samples: int, width: int, file: Path, memory: int = MEMORY) -> None:
        """`file`: where they lie if they need more bytes than `memory`; `close` removes it."""
        self.file: Path | None = None
        if 4 * samples * width <= memory:
            self.rows = torch.zeros(samples, width)
            return
        self.file = file
        self.rows = torch.from_numpy(np.memmap(file, dtype=np.float32, mode="w+", shape=(samples, width)))

    def put(self, index: Tensor, features: Tensor) -> None:
        """Keep features (b, d) of the samples `index` (b,)."""
        self.rows[index.cpu()] = features.detach().float().cpu()

    def close(self) -> None:
        """Let go of the features, and of their file."""
        self.rows = torch.empty(0, 0)
        if self.file is not None:
            self.file.unlink(missing_ok=True)


class Listener:
    """Keeps what a layer was given last, (b, d)."""

    def __init__(self, layer: nn.Module) -> None:
        self.heard = torch.empty(0, 0)
        self.handle = layer.register_forward_pre_hook(self._hear)

    def _hear(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.heard = inputs[0].detach()

    def close(self) -> None:
        self.handle.remove()


def compute(
    model: Model,
    layer: nn.Module,
    batches: Iterable[Batch],
    store: FeatureStore,
    prepare: Callable[[Batch], Batch] | None = None,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> None:
    """Put what `layer`, a part of `model`, is given for each sample of `batches` into `store`, in evaluation mode.

    `prepare` brings a batch to the model's device, and its precision. `context` is what the model computes in, and not
    what loads the batches: in half precision they would be other images.
    """
    device = next(model.parameters()).device
    listener, modes = Listener(layer), [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                moved = prepare(batch) if prepare else on_device(batch, device)
                with context():
                    model(moved)
                store.put(batch.index, listener.heard)
    finally:
        listener.close()
        for module, training in modes:
            module.training = training
