"""Decoded images: what the first step of a transform gave of a sample is kept, and read again in the later epochs.

Whoever prepares a sample first, this process or one of its workers, leaves it in its slot: nobody waits, and what no
epoch asks for takes no room. Nobody reads a slot while it is filled: a sample comes once an epoch, and between two
epochs stand the queues of the DataLoader.
"""

import warnings
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import prod
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ftlab.cache import entries
from ftlab.cache.keys import fingerprint, key
from ftlab.cache.settings import GIB, CacheSettings
from ftlab.data.base import Samples
from ftlab.disk import free
from ftlab.errors import UserError
from ftlab.frames import Size
from ftlab.inputs.base import InputPreprocessing

SPLITS = ("train", "val")  # of which a run reads more than once
SHARED_MEMORY = Path("/dev/shm")
Shape = tuple[int, ...]
BESIDE = 9  # bytes that a sample takes beside its pixels, without a slot too: whether it is there, and its extent


class Room(Protocol):
    """Bytes that all processes of a run see that are told of it."""

    @property
    def bytes(self) -> np.ndarray: ...


class Memory:
    """Bytes, all 0 at first; `shared`: also with workers, forked or spawned. What is never written takes no memory."""

    def __init__(self, size: int, shared: bool) -> None:
        self.tensor = torch.from_numpy(np.zeros(0 if shared else size, np.uint8))
        if shared:  # share_memory_() would write all of it, as a copy
            self.tensor = torch.empty(0, dtype=torch.uint8).set_(torch.UntypedStorage._new_shared(size))

    @property
    def bytes(self) -> np.ndarray:
        return self.tensor.numpy()


class File:
    """Bytes of an entry on disk, mapped; a spawned worker maps them itself."""

    def __init__(self, mapped: np.ndarray) -> None:
        self.bytes = mapped

    def __reduce__(self) -> Any:
        assert isinstance(self.bytes, np.memmap)
        return _mapped, (str(self.bytes.filename), bool(self.bytes.flags.writeable))


def _mapped(file: str, writeable: bool) -> File:
    return File(entries.join(Path(file)) if writeable else np.load(file, mmap_mode="r"))


class Slots:
    """One uint8 tensor a sample, of the first samples of a split.

    `room` holds a byte for each, 1 where it is there, then height and width of each before the first step, as int32,
    and then all of them one after the other.
    """

    def __init__(self, shapes: Sequence[Shape | None], room: Room) -> None:
        """shapes: None where there is no slot."""
        self.shapes, self.room = list(shapes), room
        self.starts = list(accumulate(map(_size, shapes), initial=BESIDE * len(shapes)))

    def get(self, index: int) -> Tensor | None:
        """What was kept of a sample; a copy, so nobody can change it."""
        shape = self.shapes[index] if index < len(self.shapes) else None
        if shape is None or not self.room.bytes[index]:
            return None
        pixels = self.room.bytes[self.starts[index] : self.starts[index + 1]]
        return torch.from_numpy(pixels.copy()).view(shape)

    def extent(self, index: int) -> Size:
        height, width = self._extent(index).view(np.int32).tolist()
        return height, width

    def _extent(self, index: int) -> np.ndarray:
        return self.room.bytes[len(self.shapes) + 8 * index :][:8]

    def put(self, index: int, pixels: Tensor, extent: Size) -> None:
        """Keep it, if there is a slot for it, of its shape."""
        if index < len(self.shapes) and tuple(pixels.shape) == self.shapes[index]:
            self.room.bytes[self.starts[index] : self.starts[index + 1]] = pixels.flatten().numpy()
            self._extent(index)[:] = np.array(extent, np.int32).view(np.uint8)
            self.room.bytes[index] = 1

    @property
    def there(self) -> np.ndarray:
        """Places of the samples that are kept."""
        return np.flatnonzero(self.room.bytes[: len(self.shapes)])

    @property
    def whole(self) -> bool:
        return len(self.there) == sum(shape is not None for shape in self.shapes)


def _size(shape: Shape | None) -> int:
    return prod(shape) if shape else 0


def _bytes(shapes: Sequence[Shape | None]) -> int:
    return BESIDE * len(shapes) + sum(map(_size, shapes))


def fitting(shapes: Iterable[Shape | None], limit: int) -> tuple[list[Shape | None], bool]:
    """The first of these, as many as take at most `limit` bytes as Slots; and whether that is all of them."""
    taken: list[Shape | None] = []
    used = 0
    for shape in shapes:
        used += BESIDE + _size(shape)
        if used > limit:
            return taken, False
        taken.append(shape)
    return taken if any(taken) else [], True


class Decoded:
    """The slots of a run, in one of its processes."""

    def __init__(
        self, settings: CacheSettings, preprocessing: InputPreprocessing, num_workers: int, epochs: int
    ) -> None:
        """A run of one epoch reads nothing twice, and keeps nothing."""
        self.settings, self.preprocessing, self.workers = settings, preprocessing, num_workers > 0
        self.splits: tuple[str, ...] = SPLITS if epochs > 1 and settings.image_budget else ()
        self.slots: dict[str, Slots] = {}
        self.files: dict[str, tuple[entries.Writing, bool]] = {}  # whether later runs may have them
        self.world = 1
        self.left_out: dict[str, int] = {}  # samples that the budget has no room for
        self.ended: dict[str, Any] = {}  # what `report` said when this was closed

    def of(self, split: str, samples: Samples, rank: int = 0, world: int = 1) -> Slots | None:
        """The slots of a split, the same ones each time; None where nothing is kept."""
        if split not in self.splits:
            return None
        if split not in self.slots:
            limit = self._limit(world) - sum(slots.starts[-1] for slots in self.slots.values())
            shapes, all_fit = fitting(self.preprocessing.first_shapes(samples.inputs), limit)
            self.left_out[split] = 0 if all_fit else len(samples) - len(shapes)
            self.world = max(self.world, world)
            self.slots[split] = self._made(split, samples, shapes, rank)
        return self.slots[split]

    def _limit(self, world: int) -> int:
        """Bytes for this process."""
        limit = int(self.settings.image_budget * GIB)
        if self.settings.mode == "disk":
            return limit
        if self.workers and SHARED_MEMORY.is_dir():  # batches pass through it too; a container may have 64 MiB
            limit = min(limit, free(SHARED_MEMORY) // 2)
        return limit // world

    def _made(self, split: str, samples: Samples, shapes: list[Shape | None], rank: int) -> Slots:
        if self.settings.mode != "disk" or not shapes:
            return Slots(shapes, Memory(_bytes(shapes), self.workers and bool(shapes)))
        return self._on_disk(split, samples, shapes, rank)

    def _on_disk(self, split: str, samples: Samples, shapes: list[Shape | None], rank: int) -> Slots:
        """Found there, else written by the first process of the run; the others decode as without it."""
        size = _bytes(shapes)
        known = fingerprint(samples.inputs)
        name = key("decoded", known, self.preprocessing.first_key(), size) if known else None
        found = entries.find(name) if name else None
        if found is not None and found.shape == (size,):
            return Slots(shapes, File(found))
        nothing = Slots([], Memory(0, False))
        if rank:
            return nothing
        try:
            entries.make_room(int(self.settings.disk_budget * GIB), size)
            writing = entries.begin(
                name or token_hex(16), (size,), np.uint8, {"value": "decoded images", "split": split}
            )
        except UserError as error:
            warnings.warn(f"images are decoded in every epoch: {error}", stacklevel=2)
            return nothing
        self.files[split] = writing, name is not None
        return Slots(shapes, File(writing.rows))

    def __enter__(self) -> "Decoded":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No more is read of these: what is whole is kept on disk for the next run."""
        self.ended = self.ended or self.report()
        for split, (writing, shared) in self.files.items():
            if shared and self.slots[split].whole:
                writing.finish()
            else:
                writing.abandon()
        self.files, self.slots, self.splits = {}, {}, ()

    def report(self) -> dict[str, Any]:
        """What is kept by now: images, bytes, and for how many more the budget has no room."""
        if self.ended:
            return self.ended
        kept = {split: slots.there for split, slots in self.slots.items()}
        size = sum(_size(self.slots[split].shapes[index]) for split, there in kept.items() for index in there)
        return {"kept": sum(map(len, kept.values())), "bytes": size, "left_out": sum(self.left_out.values())}

    def told(self) -> str | None:
        """The same for a person, in one line; None if there is nothing to say."""
        found = self.report()
        if not found["kept"] and not found["left_out"]:
            return None
        line = f"images: {found['kept']:,} kept decoded, {found['bytes'] / 2**20:.1f} MiB"
        if self.world > 1:
            line += f" in the first of {self.world} processes"
        budget = f"cache.image_budget={self.settings.image_budget:g} GiB"
        room = f"{budget} or half of {SHARED_MEMORY}" if self.workers and self.settings.mode != "disk" else budget
        return f"{line}; {found['left_out']:,} more do not fit into {room}" if found["left_out"] else line
