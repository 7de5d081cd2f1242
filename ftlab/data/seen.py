"""Some training samples for the report, as the network sees them."""

from collections.abc import Sequence

from ftlab.blocks import Block, Column, Gallery, Heading, Note, Sample, Table
from ftlab.data.module import DataModule

SAMPLES = 12  # of the gallery: less than 150 kB, whatever is on their images
COLUMNS = 30  # of the table
WIDTH = 90  # characters of a cell


def training_samples(data: DataModule) -> list[Block]:
    """The first of the first epoch, varied as in that epoch, each with its target.

    What is random is keyed as in training, so the generators that others draw from stay as they are.
    """
    target, own = data.spec.target, data.preprocessing
    found = [
        Sample(name, truth=target.shown(one), **own.seen(fields)) for name, fields, one in data.first_seen(SAMPLES)
    ]
    drawn = all(sample.image is not None for sample in found)
    blocks = [Gallery(found)] if drawn else _table(found)
    return [Heading("Training samples as the network sees them", level=2), Note(_told(data, len(found))), *blocks]


def _told(data: DataModule, count: int) -> str:
    """Which samples these are, and what was done to them."""
    names = data.spec.target.described()["targets"]
    targets = f" ({', '.join(names)})" if 1 < len(names) <= COLUMNS else ""
    shown = f"; {data.preprocessing.seen_as}" if data.preprocessing.seen_as else ""
    varied = " and augmentation" if data.augment.random else ""
    mixes = [f"augment.{name}" for name in ("mixup", "cutmix") if getattr(data.augment, name)]
    mixed = f" Batches are mixed after that ({', '.join(mixes)})." if mixes else ""
    return f"The first {count} of epoch 1 with their targets{targets}, after preprocessing{varied}{shown}.{mixed}"


def _table(samples: Sequence[Sample]) -> list[Block]:
    names = list(dict.fromkeys(name for sample in samples for name in sample.cells or {}))
    rows = [[(sample.cells or {}).get(name) for name in names[:COLUMNS]] for sample in samples]
    columns = [
        Column(name, left=not all(map(_is_number, cells)), width=WIDTH)
        for name, cells in zip(names[:COLUMNS], zip(*rows, strict=True), strict=True)
    ]
    whole = [(sample.name, sample.truth, *row) for sample, row in zip(samples, rows, strict=True)]
    more = len(names) - COLUMNS
    told = [Note(f"{more} more columns are not shown.")] if more > 0 else []
    return [Table((Column("sample"), Column("target", width=WIDTH), *columns), whole), *told]


def _is_number(cell: str | None) -> bool:
    return cell is None or cell.lstrip("-").replace(".", "", 1).isdecimal()
