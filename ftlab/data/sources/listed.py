"""What all files of one row a sample have in common: from rows to splits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.groups import numbered
from ftlab.data.sources.column_types import is_missing
from ftlab.data.sources.split_names import SPLITS
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.inputs.base import Inputs
from ftlab.problems import Fault
from ftlab.targets.base import selected
from ftlab.targets.cells.base import Cells, Raw


class Row(Protocol):
    @property
    def line(self) -> int: ...
    @property
    def target(self) -> object: ...
    @property
    def split(self) -> str: ...
    @property
    def group(self) -> str: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Sharing:
    """How rows become splits: the columns that say so, and the shares of what no column decides."""

    split_column: str | None
    group_column: str | None
    split: Sequence[float]
    learned: bool = True  # Source.learned


def group_of(file: CsvFile, line: int, text: str | None, column: str | None) -> str | Fault:
    """What a cell says that its row belongs to; "" without a column."""
    group = (text or "").strip()
    if column and is_missing(group):
        return file.fault("rows lack a group", "the group is missing", line, column)
    return group


@contextmanager
def blaming(faults: Sequence[Fault]) -> Iterator[None]:
    """What is wrong as a whole may be so since some rows cannot be used: then they are named too."""
    try:
        yield
    except UserError as error:
        if not faults:
            raise
        raise UserError(f"{error} {len(faults):,} rows cannot be used, for example: {faults[0].reason}") from error


def dealt(
    file: CsvFile,
    cells: Cells,
    rows: Sequence[R],
    made: Callable[[list[R]], tuple[Inputs, list[str]]],
    sharing: Sharing,
    seed: int,
) -> tuple[Splits, list[R]]:
    """The splits, whose faults are those of targets, and the rows that are in one.

    made: inputs and names of some rows.
    """
    if sharing.learned and not any(row.split == "train" for row in rows):
        raise file.error("no row is of the train split", column=sharing.split_column)
    # What is not learned from has its names from all rows.
    read = cells.read([Raw(row.line, row.split if sharing.learned else "train", row.target) for row in rows])
    kept = [rows[place] for place in read.kept]
    groups = numbered([row.group for row in kept]) if sharing.group_column else None
    places = {split: [place for place, row in enumerate(kept) if row.split == split] for split in SPLITS}
    if sharing.learned and not places["train"]:  # none of its rows can be used
        raise UserError(read.faults[0].reason)
    if sharing.learned:
        cells.check(read, [row.line for row in kept], places["train"])

    def samples(these: list[int]) -> Samples:
        inputs, names = made([kept[place] for place in these])
        own = None if groups is None else groups[these]
        return Samples(inputs, selected(read.column, torch.tensor(these, dtype=torch.int64)), names, own)

    train, *others = (samples(places[split]) for split in SPLITS)
    val, test = (part if len(part) else None for part in others)
    train, val, test, said = complete(read.target, train, val, test, sharing.split, seed)
    if sharing.learned and groups is None:
        cells.check_drawn(read, sharing.split, sum(len(part) for part in (val, test) if part is not None))
    whole = Splits(train, val, test, read.target, (*read.warnings, *said), read.problems, tuple(read.faults))
    return whole, kept
