"""Sample order and augmentation keyed by (seed, epoch, index): no generator's state to save, workers do not matter."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ftlab.batch import Fields
from ftlab.data.base import Samples
from ftlab.data.lengths import grouped_by_length, sorted_by_length
from ftlab.errors import UserError
from ftlab.frames import Frame, Size, Where
from ftlab.inputs.base import FramedTransform, Transform, framed
from ftlab.targets.base import Target

SMALLEST = 4  # samples of a batch of its own at the end of an epoch
# Epoch, index of the sample in its split; without an epoch the sample is prepared as in evaluation.
Key = tuple[int | None, int]
Item = tuple[Fields, Any, int, Where | None]  # fields of one sample, target, index, frame where the target follows


def key(*parts: int) -> int:
    """A hash of whole numbers to 63 bits, the same in every process; about 1 microsecond (SeedSequence: 10)."""
    digest = blake2b(",".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_all(seed: int, device: torch.device) -> None:
    """As torch.manual_seed for the CPU and `device`; that prepares for every kind of device, which takes 0.7 ms."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


class KeyedBatchSampler(Sampler[list[Key]]):
    """Batches of keys (epoch, index) of one process; every process of a run sees its part of the same global batches.

    `batch_size` counts the samples of a global batch over all `world` processes; process `rank` takes the positions
    rank, rank + world, ... of each. The global batches are the same for up to four processes. Nothing is padded and
    nothing dropped: a remainder with fewer samples than processes, in training (shuffle) also one of fewer than four,
    joins the batch before it, since BatchNorm breaks on a batch of one. Joining, unlike sharing, keeps a window of
    accumulated batches equal to the large batch of the same samples.

    lengths: gives (n,) how long each sample is, or None. Where it is known, what is not shuffled comes the longest
    first, and what is comes in windows of `window` samples of about one length (0: at random). A window is an optimizer
    step, so that accumulated batches stay equal to a large one.

    Raises: UserError if a batch, or all samples together, are too few for the processes.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world: int = 1,
        lengths: Callable[[], Tensor | None] = lambda: None,
        window: int = 0,
    ) -> None:
        least = 2 * world if shuffle and world > 1 else world  # alone, a batch of one is what was asked for
        if batch_size < least:
            raise UserError(f"data.batch_size={batch_size} is shared by {world} processes: give at least {least}.")
        if size < world:
            raise UserError(f"{size} samples are too few for {world} processes; use fewer.")
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world = world
        self.lengths, self.window = lengths, window
        self.epoch = 0
        self.plain = False  # whether the samples come in their own order, prepared as in evaluation
        self.skipped = 0  # batches that the next iteration leaves out

    @property
    def sampler(self) -> "KeyedBatchSampler":
        """Lightning looks for `set_epoch` on `batch_sampler.sampler` (fabric/utilities/data.py)."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next iteration; it counts only where the order is shuffled."""
        self.epoch = epoch if self.shuffle else 0

    def skip(self, batches: int) -> None:
        """Leave out the first `batches` of the next iteration: an epoch that was interrupted there goes on."""
        self.skipped = batches

    def __len__(self) -> int:
        return len(self.batch_sizes())

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order, start = None if self.plain else self.epoch, self.order(), 0
        skipped, self.skipped = self.skipped, 0
        for number, size in enumerate(self.batch_sizes()):
            if number >= skipped:
                yield [(epoch, index) for index in order[start : start + size][self.rank :: self.world]]
            start += size

    def batch_sizes(self) -> list[int]:
        full, rest = divmod(self.size, self.batch_size)
        least = max(SMALLEST, self.world) if self.shuffle else self.world
        if 0 < rest < least and full:
            return [self.batch_size] * (full - 1) + [self.batch_size + rest]
        return [self.batch_size] * full + [rest] * (rest > 0)

    def order(self) -> list[int]:
        """All indices in this epoch's order."""
        random = self.shuffle and not self.plain
        lengths = self.lengths() if self.window or not random else None
        if not random:
            return list(range(self.size)) if lengths is None else sorted_by_length(lengths).tolist()
        generator = torch.Generator().manual_seed(key(self.seed, self.epoch))
        if lengths is None:
            return torch.randperm(self.size, generator=generator).tolist()
        return grouped_by_length(lengths, self.window, generator).tolist()


class Slots(Protocol):
    """Where what the first step of a transform gave of a sample is kept, by its index."""

    def get(self, index: int, /) -> Any | None: ...

    def extent(self, index: int, /) -> Size:
        """Height and width of the raw input, for what `get` has."""

    def put(self, index: int, made: Any, extent: Size, /) -> None: ...


class KeyedDataset(Dataset[Item]):
    """Samples by (epoch, index) as items; what is random depends on seed and key alone.

    Raises: UserError, naming the sample, if it cannot be loaded or transformed; or for targets that follow their inputs
    where these do not tell where they go.
    """

    def __init__(
        self,
        samples: Samples,
        transform: Transform,
        seed: int,
        plain: Transform | None = None,
        slots: Slots | None = None,
        fills: bool = True,
        target: Target | None = None,
        varied: bool = True,
    ) -> None:
        """plain: the transform of keys without an epoch, which has the same first step; None: the same.

        slots: where the first step's result may lie; fills: whether it is put there. target: the kind, None for one
        that neither follows nor hides. varied: False hides the same in every epoch and in every run.
        """
        self.samples = samples
        self.transform = transform
        self.plain = plain or transform
        self.seed = seed
        self.slots, self.fills = slots, fills
        self.follower = target if target is not None and target.follows else None
        self.hider = target if target is not None and target.hides else None
        self.varied = varied
        if self.follower is not None:
            framed(self.transform, self.follower.plural)
            framed(self.plain, self.follower.plural)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: Key) -> Item:
        epoch, index = place
        transform = self.plain if epoch is None else self.transform
        if self.hider is None and (epoch is None or not transform.random):
            return self.item(index, transform)
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: it would set the generators of all GPUs too, and they are not forked here.
            fixed = epoch is None or not self.varied
            torch.default_generator.manual_seed(key(index) if fixed else key(self.seed, epoch, index))  # type: ignore[arg-type]  # an epoch, where it counts
            return self.item(index, transform)

    def __getitems__(self, places: list[Key]) -> list[Item] | UserError:
        """All items of a batch, as a DataLoader asks for them; what is wrong is handed over, for `Loader` to raise.

        An error raised in a worker would arrive as a text with the worker's traceback in it.
        """
        try:
            return [self[place] for place in places]
        except UserError as error:
            return error

    def item(self, index: int, transform: Transform) -> Item:
        """Of the sample alone, or put together with others that are drawn."""
        share = transform.mosaic if isinstance(transform, FramedTransform) else 0.0
        if self.follower is not None and share and torch.rand(()) < share:
            return self.mosaic(index, framed(transform, self.follower.plural), self.follower)
        return self.single(index, transform)

    def mosaic(self, index: int, transform: FramedTransform, kind: Target) -> Item:
        """The others are any of the split. Its frame is that of the first."""
        cells = transform.cells()
        others = torch.randint(len(self), (len(cells) - 1,)).tolist()
        # Of the others nothing is kept: another process may be at it.
        ready = [self.single(index, transform), *(self.single(other, transform, fills=False) for other in others)]
        fields = transform.together([one[0] for one in ready], cells)
        parts = [kind.follow(one[1], cell.frame) for one, cell in zip(ready, cells, strict=True)]
        first, own = cells[0], ready[0][3]
        assert isinstance(own, Frame), "what is put together lies in a plane"
        height, width = own.size.tolist()
        target = kind.together(parts, [cell.window for cell in cells], (height, width))
        top, left, *shape = first.window
        placed = Frame.of(((1.0, 0.0, left), (0.0, 1.0, top)), (shape[0], shape[1]), (height, width))
        return fields, target, index, own.then(first.frame).then(placed)

    def single(self, index: int, transform: Transform, fills: bool = True) -> Item:
        target = self.samples.targets[index]
        try:
            first, extent = self.first(index, transform, fills)
            if self.hider is not None:
                return *self.hider.hidden(transform, first), index, None
            if self.follower is None:
                return transform.then(first), target, index, None
            fields, frame = framed(transform, self.follower.plural).framed(first, extent)
            return fields, self.follower.follow(target, frame), index, frame
        except UserError as error:
            name = self.samples.name(index)
            raise (error if name in str(error) else UserError(f"{name}: {error}")) from error
        except Exception as error:
            name = self.samples.name(index)
            raise UserError(f"{name} cannot be prepared: {type(error).__name__}: {error}") from error

    def first(self, index: int, transform: Transform, fills: bool = True) -> tuple[Any, Size]:
        """The first step's result, what is kept of it, else made now; and the extent of the raw input, (0, 0) where it
        has none."""
        found = self.slots.get(index) if self.slots else None
        if self.slots and found is not None:
            return found, self.slots.extent(index)
        raw = self.samples.inputs[index]
        made, extent = transform.first(raw), transform.extent(raw) if isinstance(transform, FramedTransform) else (0, 0)
        if self.slots and self.fills and fills:
            self.slots.put(index, made, extent)
        return made, extent
