"""Which sample was in which split: what a run and its bundle keep, so that later data can be held against it.

Shapes: n samples of all splits.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ftlab.data.membership.digests import Content
from ftlab.errors import UserError
from ftlab.files.writing import write_bytes

FILE = "split.safetensors"  # in the folder of a run, and in its bundle
VERSION = "1"
SPLITS = ("train", "val", "test")
TYPES = {"splits": "uint8", "samples": "uint64", "contents": "uint64", "targets": "uint64"}


@dataclass(frozen=True, eq=False)
class Membership:
    """The samples of train, of val and of test, each split in its own order."""

    splits: np.ndarray  # (n,) uint8, places in SPLITS
    samples: np.ndarray  # (n,) uint64 digests of what a sample is known by
    contents: np.ndarray  # (n,) uint64 digests of what of it may change: of a file
    targets: np.ndarray  # (n,) uint64 digests of targets
    content: Content = "size"  # what `contents` are of
    trained: tuple[str, ...] = ("train",)  # the splits whose samples the weights have learned from

    @property
    def learned(self) -> np.ndarray:
        """(n,) whether a sample was learned from."""
        return np.isin(self.splits, [SPLITS.index(split) for split in self.trained])

    def __len__(self) -> int:
        return len(self.splits)

    def same(self, other: "Membership") -> bool:
        """Whether both hold the same samples in the same splits and order."""
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in TYPES)

    def moved(self, splits: np.ndarray, order: np.ndarray) -> "Membership":
        """The samples at `order` (n,), now in `splits` (n,)."""
        columns = {name: getattr(self, name)[order] for name in TYPES} | {"splits": splits[order]}
        return replace(self, **columns)


def write(folder: Path, membership: Membership) -> None:
    columns = {name: np.ascontiguousarray(getattr(membership, name), kind) for name, kind in TYPES.items()}
    told = {"version": VERSION, "content": membership.content, "trained": ",".join(membership.trained)}
    write_bytes(folder / FILE, save(columns, told))


def read(folder: Path) -> Membership | None:
    """What `write` left in the folder of a run or a bundle; None where there is none, as of earlier versions.

    Raises: UserError for a file that is broken, of a newer version, or not as ftlab wrote it.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise UserError(f"{path}: truncated or not a safetensors file: {error}") from None
    if told.get("version") != VERSION:
        raise UserError(f"{path}: version {told.get('version')}; this ftlab reads {VERSION}")
    content, trained = told.get("content"), tuple(told.get("trained", "train").split(","))
    n = len(found["splits"]) if "splits" in found and found["splits"].ndim == 1 else -1
    shapes = {name: (str(array.dtype), array.shape) for name, array in found.items()}
    wanted = {name: (kind, (n,)) for name, kind in TYPES.items()}
    known = content in get_args(Content) and set(trained) <= {*SPLITS}
    if not known or shapes != wanted or (found["splits"] >= len(SPLITS)).any():
        raise UserError(f"{path}: not as ftlab wrote it; nothing of it was used")
    return Membership(**found, content=cast(Content, content), trained=trained)
