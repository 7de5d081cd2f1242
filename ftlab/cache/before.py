"""What is found out and decided before a run: the freeze borders of its phases, and what is kept of them."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import ceil, inf

from ftlab.batch import Batch
from ftlab.cache import entries, steady
from ftlab.cache.borders import Borders
from ftlab.cache.decide import Amounts, Choice, Limits, decide
from ftlab.cache.probe import SAMPLES, Probed, probe
from ftlab.cache.rows import bytes_of
from ftlab.cache.settings import GIB, CacheSettings
from ftlab.cache.shelf import Shape
from ftlab.data.module import DataModule
from ftlab.disk import free, writable
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.model import Model
from ftlab.strategies.base import Phase

HIDES = "other {} are drawn in every epoch, so nothing of an input stays as it is"


def look(
    model: Model,
    phases: Sequence[Phase],
    data: DataModule,
    settings: CacheSettings,
    prepare: Callable[[Batch], Batch],
    precision: AbstractContextManager[None],
) -> tuple[Probed, Borders | None]:
    """A few training samples through every freeze border; None where the backbone has none.

    `prepare` brings a batch to the model's device and type of numbers; it is computed within `precision`.
    """
    batch, loading = loaded(data, None, SAMPLES * data.world)
    with precision:
        found, borders = probe(model, phases, prepare(batch), loading, settings.dtype, data.preprocessing.one_size)
    if data.spec.target.hides:
        return found.without(HIDES.format(data.spec.target.plural)), borders
    return (found if is_steady(data) else found.without(steady.WHY_NOT)), borders


def is_steady(data: DataModule) -> bool:
    """Whether every split gives the same inputs each time."""
    transform = data.preprocessing.transform()
    splits = [split for split in ("train", "val") if split in data.spec.sizes]
    return all(steady.is_steady(data.samples(split).inputs, transform) for split in splits)


def loaded(data: DataModule, epoch: int | None, size: int) -> tuple[Batch, float]:
    """The first training samples (see DataModule.in_order), and the seconds that each took to load, the first time
    left out."""
    for _ in range(2):
        start = time.perf_counter()
        batch = next(iter(data.in_order("train", epoch, size)))
        seconds = time.perf_counter() - start
    return batch, seconds / len(batch)


def choices(probed: Probed, data: DataModule, settings: CacheSettings, machines: int) -> list[Choice]:
    """One a phase. Raises: UserError where the cache asks for what cannot be."""
    if settings.views is not None and not data.augment.random:
        raise UserError(f"cache.views={settings.views}: no image is varied; leave it null, or choose another augment=")
    sizes = {name: bytes_of(s.shape, s.dtype, settings.dtype) * each(data, s) for name, s in probed.shapes.items()}
    train, val = data.spec.sizes["train"], data.spec.sizes.get("val", 0)
    amounts = Amounts(sizes, views(settings, data.augment) * train, train, val)
    disk_not, disk_free = disk(amounts, settings, machines)
    limits = Limits(settings, varied(settings, data.augment), disk_not, disk_free)
    return decide(probed.needs, amounts, limits)


def each(data: DataModule, shape: Shape) -> int:
    """Rows that a training sample takes, in the mean."""
    positions = data.positions("train") if shape.ragged else None
    return 1 if positions is None else ceil(positions.double().mean())


def disk(amounts: Amounts, settings: CacheSettings, machines: int) -> tuple[str | None, float]:
    """Why nothing can be kept on disk, and how many bytes are free there; looked at only where it may be needed."""
    wanted = settings.mode == "disk" or (settings.mode == "auto" and settings.shared)
    if not wanted and amounts.bytes(list(amounts.row_bytes), True, False) <= settings.memory_budget * GIB:
        return None, inf
    if machines > 1:
        return "several machines share no disk that is known of", 0
    try:
        return None, free(writable("cache", entries.folder()))
    except UserError as error:
        return str(error), 0


def views(settings: CacheSettings, augment: Augment) -> int:
    """Variants of each training sample that are kept."""
    return (settings.views or 1) if augment.random else 1


def varied(settings: CacheSettings, augment: Augment) -> str | None:
    """Why training samples cannot be kept; None: they can."""
    if augment.mixup or augment.cutmix:
        return "mixup and cutmix make new images of whole batches"
    if augment.mosaic:
        return "augment.mosaic makes new images of four"
    if augment.random and settings.views is None:
        return "the augmentation varies the training images in every epoch (cache.views=4 keeps 4 variants of each)"
    return None
