"""Kept values as the batches of a split, and one pass that computes them.

Shapes: b batch.
"""

from collections.abc import Callable, Iterable, Sequence

import torch

from ftlab.batch import Batch
from ftlab.cache.borders import Values
from ftlab.cache.rows import RaggedRows, Rows
from ftlab.data.base import Samples
from ftlab.data.sampling import Key
from ftlab.targets.base import Target


class Kept:
    """Batches of one split whose `border` is read from rows; row = view * samples + index.

    Of targets that follow, the last rows are the frames, by which they go again where the inputs once went.
    """

    def __init__(self, rows: Sequence[Rows | RaggedRows], samples: Samples, target: Target, views: int = 1) -> None:
        self.rows, self.samples, self.target, self.views = list(rows), samples, target, views
        self.read = 0  # samples, since the last take_read

    def batch(self, places: Sequence[Key]) -> Batch:
        """The samples of these keys (epoch, index); the views take turns, one an epoch."""
        index = torch.tensor([place for _, place in places])
        epoch = places[0][0] or 0  # one of a batch is of all: a batch lies in one epoch
        row = index + epoch % self.views * len(self.samples)
        self.read += len(index)
        border = tuple(rows.get(row) for rows in self.rows)
        if not self.target.follows:
            return Batch(self.target.gathered(self.samples.targets, index), index, border=border)
        frame = self.target.where.unpacked(border[-1])
        targets = self.target.collated(
            [
                self.target.follow(self.samples.targets[place], frame.of_one(number))
                for number, place in enumerate(index.tolist())
            ]
        )
        return Batch(targets, index, border=border, frame=frame)

    def take_read(self) -> int:
        """How many samples have been read since the last call."""
        read, self.read = self.read, 0
        return read


def fill(
    rows: Sequence[Rows | RaggedRows], compute: Callable[[Batch], Values], batches: Iterable[Batch], start: int
) -> None:
    """Put what `compute` gives for each sample of `batches` into the rows from `start` on."""
    for batch in batches:
        places = batch.index.cpu() + start
        for part, values in zip(rows, compute(batch), strict=True):
            part.put(places, values)
