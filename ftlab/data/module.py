"""Batches of all splits for a network, and what a data source turned out to hold.

Shapes: n samples, b batch, k classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ftlab.batch import Batch, Fields
from ftlab.data.base import DataSpec, Samples, Source, Splits
from ftlab.data.groups import across
from ftlab.data.sampling import Item, Key, KeyedBatchSampler, KeyedDataset, Slots
from ftlab.data.splits import subset as take
from ftlab.errors import UserError, choices
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing
from ftlab.targets.base import Target


def read(source: Source, seed: int, subset: str | float | int | None = None) -> tuple[Splits, DataSpec]:
    """What a source holds, checked; `subset` takes part of the training samples (see splits.subset).

    Raises: UserError, naming the split or the sample.
    """
    return describe(type(source).__module__.rpartition(".")[2], source.read(seed), seed, subset)


def describe(name: str, splits: Splits, seed: int, subset: str | float | int | None = None) -> tuple[Splits, DataSpec]:
    """As `read`, for splits that are already there (see datasets.from_datasets)."""
    if len(splits.train) < 2:
        raise UserError(f"data={name}: the train split holds {len(splits.train)} samples; at least 2 are needed.")
    check(name, splits)
    train, said = take(splits.target, splits.train, subset, seed)
    taken = replace(splits, train=train)
    sizes = {split: len(samples) for split, samples in taken.parts().items()}
    found = (*splits.problems, *splits.target.problems(taken.targets()), *across(taken))
    told = tuple(problem.text for problem in found if problem.severity == "warning")
    try:
        target = splits.target.fitted(train.targets)
    except UserError as error:
        raise UserError(f"data={name}: {error}") from error
    warnings = (*splits.warnings, *told, *said)
    return replace(taken, warnings=warnings, problems=()), DataSpec(name, target, sizes, warnings, splits.faults)


def check(name: str, splits: Splits) -> None:
    """Raises: UserError, naming the split and the sample, for targets that no loss can take."""
    for split, samples in splits.parts().items():
        if not len(samples):
            raise UserError(f"data={name}: the {split} split is empty; fill it or leave it out.")
        if len(samples.inputs) != len(samples):
            raise UserError(f"data={name}, {split}: {len(samples.inputs)} inputs and {len(samples)} targets.")
        if samples.groups is not None and samples.groups.shape != (len(samples),):
            shape = tuple(samples.groups.shape)
            raise UserError(f"data={name}, {split}: groups have the shape {shape}; accepted: (n,).")
        if misshapen := splits.target.misshapen(samples.targets):
            raise UserError(f"data={name}, {split}: {misshapen}")
        if bad := splits.target.faults(samples.targets):
            first, why = next(iter(bad.items()))
            raise UserError(
                f"data={name}, {split}: {samples.name(first)} has the target {why} ({len(bad)} samples are wrong)."
            )


def collate(items: list[Item] | UserError, preprocessing: InputPreprocessing, target: Target) -> Batch | UserError:
    if isinstance(items, UserError):
        return items
    inputs, targets, index, frames = zip(*items, strict=True)
    frame = frames[0].stacked(frames) if target.follows else None
    return Batch(target.collated(targets), torch.tensor(index), preprocessing.stack(inputs), frame=frame)


class Kept(Protocol):
    """Batches that need no loading."""

    def batch(self, places: Sequence[Key], /) -> Batch: ...


class Decoded(Protocol):
    """Where what decoding gave is kept."""

    def of(self, split: str, samples: Samples, rank: int, world: int, /) -> Slots | None: ...


class Loader(DataLoader[Batch]):
    """A DataLoader that raises the UserError which a KeyedDataset hands over in place of a batch.

    While there is something `kept`, the batches come from there, in the order of the same sampler.
    """

    kept: Kept | None = None

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # the base promises its own iterator class
        if self.kept is not None:
            self._iterator = None  # ends the workers, if there are any
            for places in self.batch_sampler:  # type: ignore[union-attr]
                batch = self.kept.batch(places)
                yield batch.pin_memory() if self.pin_memory else batch
            return
        batches = super().__iter__()
        for batch in batches:
            if isinstance(batch, UserError):
                # Ends the workers now: the error's traceback would keep them, and the garbage collector, which takes
                # their queues first, then waits 5 s for them.
                self._iterator = None
                del batches
                raise batch
            yield batch


class DataModule:
    """Batches of each split as a network wants them.

    batch_size: samples of a global batch, over all `world` processes. Augmentation is of shuffled training batches
    only. Order and augmentation depend on (seed, epoch, index) alone; `window`: see KeyedBatchSampler.
    """

    def __init__(
        self,
        splits: Splits,
        spec: DataSpec,
        preprocessing: InputPreprocessing,
        augment: Augment,
        batch_size: int,
        num_workers: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        decoded: Decoded | None = None,
        window: int = 0,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"data.batch_size={batch_size}: accepted is 1 or more.")
        if num_workers < 0:
            raise UserError(f"data.num_workers={num_workers}: accepted is 0 (no extra process) or more.")
        self.splits = splits
        self.spec = spec
        self.preprocessing = preprocessing
        self.augment = augment
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.rank = rank
        self.world = world
        self.decoded = decoded
        self.window = window
        self._positions: dict[str, Tensor | None] = {}

    def samples(self, split: str) -> Samples:
        """Raises: UserError if the data has no such split."""
        there = self.splits.parts()
        if split not in there:
            raise UserError(f"data={self.spec.name} has no split '{split}'; {choices(split, there)}")
        return there[split]

    def sampler(self, split: str, shuffle: bool, batch_size: int | None = None) -> KeyedBatchSampler:
        """The order of a split's samples, and what of it is a batch; batch_size: None for the data's own.

        Raises: UserError if the split is not there or has fewer samples than there are processes.
        """
        size = len(self.samples(split))
        if size < self.world:
            raise UserError(f"the {split} split holds {size} samples for {self.world} processes; use fewer.")
        own, lengths = batch_size or self.batch_size, partial(self.positions, split)
        return KeyedBatchSampler(size, own, shuffle, self.seed, self.rank, self.world, lengths, self.window)

    def batches(self, split: str = "train") -> int:
        """How many batches an epoch of training on the split has; the same in each. Raises: UserError as `sampler`."""
        return len(self.sampler(split, shuffle=True))

    def loader(self, split: str, shuffle: bool) -> Loader:
        """Raises: UserError if the split is not there or has fewer samples than there are processes."""
        return self._loader(split, self.sampler(split, shuffle), varied=split == "train" and shuffle)

    def _loader(self, split: str, sampler: KeyedBatchSampler, varied: bool, fills: bool = True) -> Loader:
        samples = self.samples(split)
        slots = self.decoded.of(split, samples, self.rank, self.world) if self.decoded else None
        plain = self.preprocessing.transform()
        transform = self.preprocessing.transform(self.augment) if varied else plain
        return Loader(
            KeyedDataset(samples, transform, self.seed, plain, slots, fills, self.spec.target, varied),  # type: ignore[arg-type]  # collate makes the Batch
            batch_sampler=sampler,
            collate_fn=partial(collate, preprocessing=self.preprocessing, target=self.spec.target),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # The workers' base seed would be drawn from the global generator, which is keyed by the step.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def in_order(self, split: str, epoch: int | None, batch_size: int, by_length: bool = False) -> Loader:
        """All samples of a split once, in their own order, or the longest first, this process's part of each batch.

        epoch: None as in evaluation; a number: varied as training samples are in that epoch.
        """
        sampler = self.sampler(split, shuffle=False, batch_size=max(batch_size, self.world))
        if not by_length:
            sampler.lengths = lambda: None
        made = self._loader(
            split,
            sampler,
            varied=epoch is not None,
            fills=epoch is not None,  # in evaluation once is enough for whoever keeps what comes of it
        )
        made.batch_sampler.epoch, made.batch_sampler.plain = epoch or 0, epoch is None  # type: ignore[union-attr]
        return made

    def first_seen(self, count: int) -> Iterator[tuple[str, Fields, Any]]:
        """Name, fields and target of the first `count` training samples of the first epoch, as training gets them."""
        samples, transform = self.samples("train"), self.preprocessing.transform(self.augment)
        dataset = KeyedDataset(samples, transform, self.seed, target=self.spec.target)
        for place in self.sampler("train", shuffle=True).order()[:count]:
            fields, target, index, _ = dataset[0, place]
            yield samples.name(index), fields, target

    def positions(self, split: str) -> Tensor | None:
        """(n,) see InputPreprocessing.positions."""
        if split not in self._positions:
            found = self.preprocessing.positions(self.samples(split).inputs)
            self._positions[split] = None if found is None else torch.tensor(found)
        return self._positions[split]

    def shown(self, split: str, index: int) -> dict[str, Any]:
        """A sample's raw input for a gallery: {"image": Pillow image} or {"cells": {column: text}}."""
        return self.preprocessing.shown(self.samples(split).inputs[index])
