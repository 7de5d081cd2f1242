"""Rows of unequal number in each sample, such as boxes, as a few long tensors.

Shapes: n samples, m rows of one sample, r rows of all.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

Parts = dict[str, Tensor]  # of one sample, by name, each (m, ...)


class Ragged:
    """What a split or a batch holds; pins, moves and travels between processes as few tensors.

    No dataclass: Lightning takes those apart.
    """

    def __init__(self, rows: Mapping[str, Tensor], counts: Tensor) -> None:
        self.rows = dict(rows)  # by name, each (r, ...): those of one sample after those of the one before
        self.counts = counts  # (n,) int64, how many rows a sample has
        self._ends = counts.cumsum(0)

    @classmethod
    def of(cls, samples: Sequence[Parts], blank: Parts) -> "Ragged":
        """`blank`: what a sample without rows is, for a sequence without samples."""
        counts = torch.tensor([len(next(iter(parts.values()))) for parts in samples], dtype=torch.int64)
        rows = {name: torch.cat([parts[name] for parts in samples] or [none]) for name, none in blank.items()}
        return cls(rows, counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, place: int) -> Parts:
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        end = int(self._ends[place])
        return {name: rows[end - int(self.counts[place]) : end] for name, rows in self.rows.items()}

    def samples(self) -> list[Parts]:
        """All of them, which takes less than one after the other by place."""
        bounds = [0, *self._ends.tolist()]
        return [{name: rows[a:b] for name, rows in self.rows.items()} for a, b in pairwise(bounds)]

    def select(self, places: Tensor) -> "Ragged":
        """Of the samples at `places` (m,) int64, in that order."""
        places = places.to(self.counts.device)
        counts, starts = self.counts[places], self._ends[places] - self.counts[places]
        within = torch.arange(int(counts.sum()), device=counts.device)
        within -= (counts.cumsum(0) - counts).repeat_interleave(counts)
        chosen = starts.repeat_interleave(counts) + within
        return Ragged({name: rows[chosen] for name, rows in self.rows.items()}, counts)

    def each(self, move: Callable[[Tensor], Tensor]) -> "Ragged":
        """With `move` done to every tensor, but for another type of numbers: 16 bits cannot hold places."""
        kept = {}
        for name, rows in self.rows.items():
            moved = move(rows)
            kept[name] = moved if moved.dtype == rows.dtype else rows.to(moved.device)
        return Ragged(kept, move(self.counts))

    @property
    def of_sample(self) -> Tensor:
        """(r,) the place of the sample that each row is of."""
        return torch.arange(len(self), device=self.counts.device).repeat_interleave(self.counts)


def joined(several: Sequence[Ragged]) -> Ragged:
    """The samples of several, one after the other."""
    names = several[0].rows
    return Ragged(
        {name: torch.cat([one.rows[name] for one in several]) for name in names},
        torch.cat([one.counts for one in several]),
    )
