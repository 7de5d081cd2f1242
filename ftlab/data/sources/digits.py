"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8 x 8 pixels, 10 classes."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages
from ftlab.targets.classes import Classes

FILE = "datasets/data/digits.csv.gz"  # inside scikit-learn: 64 pixels from 0 to 16, then the digit
DIGITS = Classes(tuple(str(digit) for digit in range(10)))


class Digits(Source):
    """Source: Alpaydin and Kaynak 1998, UCI Machine Learning Repository (the 1,797 of its test part)."""

    def __init__(self, split: Sequence[float]) -> None:
        self.split = split

    def survey(self, seed: int) -> Splits:
        pixels, labels = images()
        names = [f"digits/{index}" for index in range(len(pixels))]
        everything = Samples(ArrayImages(pixels), torch.from_numpy(labels), names)
        train, val, test, warnings = complete(DIGITS, everything, None, None, self.split, seed)
        return Splits(train, val, test, DIGITS, warnings)


def images() -> tuple[np.ndarray, np.ndarray]:
    """(n, 8, 8) uint8 from 0 to 255, and (n,) int64."""
    rows = np.loadtxt(packaged(), delimiter=",", dtype=np.uint8)
    pixels = np.round(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return pixels, rows[:, -1].astype(np.int64)


def packaged() -> Path:
    """The file itself: importing scikit-learn to read one CSV takes 0.6 s. Raises: UserError if it is not there."""
    spec = find_spec("sklearn")
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError("data=digits: the images of scikit-learn are not there; pip install scikit-learn")
    return path
