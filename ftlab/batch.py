"""What one step sees: a batch of inputs with their targets.

Shapes: b batch, c channels, h height, w width, t steps, k classes or named numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

Fields = dict[str, Tensor]  # what one raw input, or a stack of them, puts into a Batch, by the name of the field


@dataclass
class Batch:
    """What one step sees. Fields of modalities that a data source does not have stay None."""

    targets: Tensor  # (b,) int64 classes, (b, k) float32 labels, mixed classes or numbers
    index: Tensor  # (b,) int64, place of each sample in its split
    images: Tensor | None = None  # (b, c, h, w) float32, normalised
    tokens: Tensor | None = None  # (b, t) int64
    series: Tensor | None = None  # (b, t, c) float32
    mask: Tensor | None = None  # (b, t) bool, True where there is a step, False where one only fills the batch
    vectors: Tensor | None = None  # (b, d) float32
    categories: Tensor | None = None  # (b, m) int64, of m columns, each with its own numbering
    border: tuple[Tensor, ...] | None = None  # values at the freeze border (b, ...), in place of the inputs

    def __len__(self) -> int:
        return len(self.targets)

    def each(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with `move` done to every tensor."""

        def moved(part: Any) -> Any:
            return tuple(map(move, part)) if isinstance(part, tuple) else part if part is None else move(part)

        return Batch(**{f.name: moved(getattr(self, f.name)) for f in fields(self)})

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; a DataLoader pins only what it knows or what has this method."""
        return self.each(Tensor.pin_memory)
