"""Sample order and augmentation keyed by (seed, epoch, index): no generator's state to save, workers do not matter."""

from collections.abc import Iterator
from hashlib import blake2b

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ftlab.data.base import Samples
from ftlab.data.transforms import Transform
from ftlab.errors import UserError

Key = tuple[int, int]  # epoch, index of the sample in its split
Item = tuple[Tensor, Tensor, int]  # image (c, h, w), target () or (k,), index


def key(*parts: int) -> int:
    """A hash of whole numbers to 63 bits, the same in every process; about 1 microsecond (SeedSequence: 10)."""
    digest = blake2b(",".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class KeyedBatchSampler(Sampler[list[Key]]):
    """Batches of keys (epoch, index) of one process; every process of a run sees its part of the same global batches.

    `batch_size` counts the samples of a global batch over all `world` processes; process `rank` takes the positions
    rank, rank + world, ... of each. The global batches do not depend on `world`. Nothing is padded and nothing dropped:
    a remainder of less than half a batch shares evenly with the batch before it, so that in training no process is
    left without the two samples that BatchNorm needs.

    Raises: UserError if a batch, or all samples together, are too few for the processes.
    """

    def __init__(self, size: int, batch_size: int, shuffle: bool, seed: int, rank: int = 0, world: int = 1) -> None:
        each = 2 if shuffle and world > 1 else 1  # alone, a batch of one is what was asked for
        least = 2 * each * world if world > 1 else 1  # half a batch must still be enough for all
        if batch_size < least:
            raise UserError(f"data.batch_size={batch_size} is shared by {world} processes: give at least {least}.")
        if size < each * world:
            raise UserError(f"{size} samples are too few for {world} processes; at least {each * world} are needed.")
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0

    @property
    def sampler(self) -> "KeyedBatchSampler":
        """Lightning looks for `set_epoch` on `batch_sampler.sampler` (fabric/utilities/data.py)."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next iteration; it counts only where the order is shuffled."""
        self.epoch = epoch if self.shuffle else 0

    def __len__(self) -> int:
        return len(batch_sizes(self.size, self.batch_size))

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order, start = self.epoch, self.order(), 0
        for size in batch_sizes(self.size, self.batch_size):
            yield [(epoch, index) for index in order[start : start + size][self.rank :: self.world]]
            start += size

    def order(self) -> list[int]:
        """All indices in this epoch's order."""
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(key(self.seed, self.epoch))
        return torch.randperm(self.size, generator=generator).tolist()


def batch_sizes(size: int, batch_size: int) -> list[int]:
    """Full batches; a remainder of less than half a batch is shared evenly with the last of them."""
    full, rest = divmod(size, batch_size)
    if rest and full and rest < batch_size / 2:
        both = batch_size + rest
        return [batch_size] * (full - 1) + [both - both // 2, both // 2]
    return [batch_size] * full + [rest] * (rest > 0)


class KeyedDataset(Dataset[Item]):
    """Samples by (epoch, index) as items; what is random depends on seed and key alone.

    Raises: UserError, naming the sample, if it cannot be loaded or transformed.
    """

    def __init__(self, samples: Samples, transform: Transform, seed: int) -> None:
        self.samples = samples
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: Key) -> Item:
        epoch, index = place
        if not self.transform.random:
            return self.image(index), self.samples.targets[index], index
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: it would set the generators of all GPUs too, and they are not forked here.
            torch.default_generator.manual_seed(key(self.seed, epoch, index))
            return self.image(index), self.samples.targets[index], index

    def __getitems__(self, places: list[Key]) -> list[Item] | UserError:
        """All items of a batch, as a DataLoader asks for them; what is wrong is handed over, for `Loader` to raise.

        An error raised in a worker would arrive as a text with the worker's traceback in it.
        """
        try:
            return [self[place] for place in places]
        except UserError as error:
            return error

    def image(self, index: int) -> Tensor:
        try:
            return self.transform(self.samples.images[index])
        except UserError as error:
            name = self.samples.name(index)
            raise (error if name in str(error) else UserError(f"{name}: {error}")) from error
        except Exception as error:
            name = self.samples.name(index)
            raise UserError(f"{name} cannot be prepared: {type(error).__name__}: {error}") from error
