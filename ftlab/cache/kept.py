"""Kept values as the batches of a split, and one pass that computes them.

Shapes: b batch.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ftlab.batch import Batch
from ftlab.cache.borders import Values
from ftlab.cache.rows import Rows
from ftlab.data.sampling import Key


class Kept:
    """Batches of one split whose `border` is read from rows; row = view * samples + index."""

    def __init__(self, rows: Sequence[Rows], targets: Tensor, views: int = 1) -> None:
        self.rows, self.targets, self.views = list(rows), targets, views
        self.read = 0  # samples, since the last take_read

    def batch(self, places: Sequence[Key]) -> Batch:
        """The samples of these keys (epoch, index); the views take turns, one an epoch."""
        index = torch.tensor([place for _, place in places])
        epoch = places[0][0] or 0  # one of a batch is of all: a batch lies in one epoch
        row = index + epoch % self.views * len(self.targets)
        self.read += len(index)
        return Batch(targets=self.targets[index], index=index, border=tuple(rows.get(row) for rows in self.rows))

    def take_read(self) -> int:
        """How many samples have been read since the last call."""
        read, self.read = self.read, 0
        return read


def fill(rows: Sequence[Rows], compute: Callable[[Batch], Values], batches: Iterable[Batch], start: int) -> None:
    """Put what `compute` gives for each sample of `batches` into the rows from `start` on."""
    for batch in batches:
        places = batch.index.cpu() + start
        for part, values in zip(rows, compute(batch), strict=True):
            part.put(places, values)
