"""Linnerud that comes with scikit-learn: of 20 men three exercises, and three measures of their bodies to predict."""

from collections.abc import Sequence

from ftlab.data.base import Source, Splits
from ftlab.data.sources.arrays import number_table


class Linnerud(Source):
    """Source: Tenenhaus 1998, "La regression PLS: theorie et pratique", table 1."""

    def __init__(self, split: Sequence[float]) -> None:
        self.split = split

    def survey(self, seed: int) -> Splits:
        from sklearn.datasets import load_linnerud  # 0.6 s that other data does not need

        found = load_linnerud()
        columns, targets = ([name.lower() for name in found[key]] for key in ("feature_names", "target_names"))
        return number_table("linnerud", columns, found["data"], targets, found["target"], self.split, seed)
