"""The rows that a run holds: which are there, where they lie, and how several processes fill them together."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ftlab.cache import entries
from ftlab.cache.decide import Place
from ftlab.cache.rows import Rows, bytes_of
from ftlab.cache.settings import GIB, CacheSettings

CHUNK = 2**24  # bytes that are gathered at once


@dataclass(frozen=True)
class Slot:
    """One value of the samples of one split."""

    split: str
    varied: bool  # whether by the augmentation
    name: str


@dataclass(frozen=True)
class Shape:
    """One sample's value."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    ragged: bool = False  # whether it is of each position of the sample, of which samples have not all as many


class Ranks(Protocol):
    """Several processes of a run; Lightning's Strategy is one."""

    def broadcast(self, obj: Any, src: int = 0) -> Any: ...

    def barrier(self, name: str | None = None) -> None: ...

    def reduce(self, tensor: Tensor, group: Any = None, reduce_op: str = "mean") -> Any: ...


class Shelf:
    """Rows by slot. With several processes all of them call each method, in the same order."""

    def __init__(self, settings: CacheSettings, ranks: Ranks, rank: int, world: int, device: torch.device) -> None:
        self.settings, self.ranks, self.rank, self.world, self.device = settings, ranks, rank, world, device
        self.rows: dict[Slot, Rows] = {}
        self.files: dict[Slot, tuple[entries.Writing, bool]] = {}  # of rank 0; whether later runs may have them

    def find(self, slot: Slot, key: str | None, shape: Shape) -> bool:
        """Take the rows of an earlier run from the disk, if they are there."""
        found = entries.find(key) if key else None
        if not self._all(found is not None):
            return False
        assert found is not None
        self.rows[slot] = Rows(found, shape.shape, shape.dtype, self.settings.dtype)
        return True

    def prepare(
        self, slot: Slot, count: int, shape: Shape, place: Place, key: str | None, about: Mapping[str, Any]
    ) -> Rows:
        """Rows to be filled, all 0. Without a key what is on disk ends with the run.

        Raises: UserError where the disk has no room.
        """
        size = (count, bytes_of(shape.shape, shape.dtype, self.settings.dtype))
        array = self._on_disk(slot, size, key, about) if place == "disk" else np.zeros(size, np.uint8)
        self.rows[slot] = Rows(array, shape.shape, shape.dtype, self.settings.dtype)
        return self.rows[slot]

    def _on_disk(self, slot: Slot, size: tuple[int, int], key: str | None, about: Mapping[str, Any]) -> np.ndarray:
        """The same file for all processes."""
        path = None
        if self.rank == 0:
            entries.make_room(int(self.settings.disk_budget * GIB), size[0] * size[1])
            writing = entries.begin(key or token_hex(16), size, np.uint8, about)
            self.files[slot] = writing, key is not None
            path = writing.path
        path = self.ranks.broadcast(path)
        return self.files[slot][0].rows if self.rank == 0 else entries.join(path)

    def filled(self, slots: Iterable[Slot], place: Place) -> None:
        """Every process has put its own samples into these; afterwards each has all."""
        if place == "memory" and self.world > 1:
            for slot in slots:
                gather(self.rows[slot].array, self.ranks, self.device)
        self.ranks.barrier("cache")
        for slot in slots:
            writing, shared = self.files.get(slot, (None, False))
            if writing and shared:
                writing.finish()
                del self.files[slot]

    def keep_only(self, slots: Collection[Slot]) -> None:
        """Let go of all others."""
        for slot in [slot for slot in self.rows if slot not in slots]:
            del self.rows[slot]
            if slot in self.files:
                self.files.pop(slot)[0].abandon()

    def _all(self, mine: bool) -> bool:
        found = self.ranks.reduce(torch.tensor(float(mine), device=self.device), reduce_op="sum")
        return int(found) == self.world


def gather(array: np.ndarray, ranks: Ranks, device: torch.device) -> None:
    """Every process has put its own rows into `array` (n, width), the others are 0: the sum is all of them."""
    step = max(1, CHUNK // max(1, array.shape[1]))
    for start in range(0, len(array), step):
        part = torch.from_numpy(array[start : start + step]).to(device)
        array[start : start + step] = ranks.reduce(part, reduce_op="sum").cpu().numpy()
