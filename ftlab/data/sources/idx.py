"""Images in the IDX files of MNIST and its kin (Fashion-MNIST, KMNIST), plain or gzipped."""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.folders import existing_folder, visible
from ftlab.files.paths import printable
from ftlab.inputs.images.files import ArrayImages
from ftlab.targets.classes import Classes

UNSIGNED_BYTE = 8  # the format's code of the only type of value that images and labels have


class Idx(Source):
    """train-images-idx3-ubyte, train-labels-idx1-ubyte and, if there, the same with t10k for the test split.

    Format: http://yann.lecun.com/exdb/mnist/. Classes are the label values of the train files; of all, where they are
    measured only, and then either pair will do.
    Raises (survey): UserError, naming the file.
    """

    def __init__(self, root: str, split: Sequence[float]) -> None:
        self.root = root
        self.split = split

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        there = [part for part in ("train", "t10k") if _find(root, f"{part}-images-idx3-ubyte")]
        wanted = there if there and not self.learned else dict.fromkeys(["train", *there])  # _pair says what is missing
        pairs = {part: _pair(root, part) for part in wanted}
        known = [labels for part, (_, labels) in pairs.items() if part == "train" or not self.learned]
        values = np.unique(np.concatenate(known))
        parts = {part: _samples(root, part, *pair, values) for part, pair in pairs.items()}
        nothing = Samples(ArrayImages(np.zeros((0, 1, 1), np.uint8)), torch.zeros(0, dtype=torch.int64))
        target = Classes(tuple(str(value) for value in values))
        train, test = parts.get("train", nothing), parts.get("t10k")
        train, val, test, warnings = complete(target, train, None, test, self.split, seed)
        return Splits(train, val, test, target, warnings)


def _find(root: Path, name: str) -> Path | None:
    """The file under its usual names: plain or gzipped, "-idx3" or ".idx3"."""
    for stem in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            if (root / (stem + suffix)).is_file():
                return root / (stem + suffix)
    return None


def _pair(root: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for name, dimensions in ((f"{part}-images-idx3-ubyte", 3), (f"{part}-labels-idx1-ubyte", 1)):
        file = _find(root, name)
        if file is None:
            there = [entry.name for entry in visible(root)][:20]
            near = choices(name, there) if there else "the folder is empty."
            raise UserError(f"data.root={printable(root)} has no file {name} (or {name}.gz); {near}")
        arrays.append(read_idx(file, dimensions))
    if len(arrays[0]) != len(arrays[1]):
        raise UserError(f"{printable(root)}: {len(arrays[0])} {part} images and {len(arrays[1])} labels.")
    return arrays[0], arrays[1]


def read_idx(file: Path, dimensions: int) -> np.ndarray:
    """uint8 array of an IDX file. Raises: UserError, naming the file, for another type, shape or a cut file."""
    try:
        data = bytearray(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{printable(file)} cannot be read ({error}); it may be truncated.") from error
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise UserError(f"{printable(file)} is no IDX file of unsigned bytes with {dimensions} dimensions.")
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4)]
    if len(data) != header + math.prod(shape):
        raise UserError(f"{printable(file)} has {len(data) - header} bytes of values where its header says {shape}.")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _samples(root: Path, part: str, images: np.ndarray, labels: np.ndarray, values: np.ndarray) -> Samples:
    unknown = np.setdiff1d(labels, values)
    if len(unknown):
        raise UserError(f"{printable(root)}: {part} has labels {unknown.tolist()} that train has not.")
    targets = torch.from_numpy(np.searchsorted(values, labels)).long()
    return Samples(ArrayImages(images), targets, [f"{part}/{index}" for index in range(len(labels))])
