"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8 x 8 pixels, 10 classes."""

from collections.abc import Sequence

import numpy as np
import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.images import ArrayImages
from ftlab.data.splits import complete


class Digits(Source):
    """Source: Alpaydin and Kaynak 1998, UCI Machine Learning Repository (the 1,797 of its test part)."""

    def __init__(self, split: Sequence[float]) -> None:
        self.split = split

    def read(self, seed: int) -> Splits:
        from sklearn.datasets import load_digits  # takes a second, and only here

        data = load_digits()
        pixels = np.round(data.images * (255 / 16)).astype(np.uint8)  # the file counts from 0 to 16
        everything = Samples(
            ArrayImages(pixels),
            torch.from_numpy(data.target).long(),
            [f"digits/{index}" for index in range(len(pixels))],
        )
        train, val, test, warnings = complete(everything, None, None, self.split, seed)
        return Splits(train, val, test, tuple(str(name) for name in data.target_names), warnings)
