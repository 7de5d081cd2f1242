"""Diabetes that comes with scikit-learn: 442 patients, 10 measurements, and how far the disease is a year later."""

from collections.abc import Sequence

from ftlab.data.base import Source, Splits
from ftlab.data.sources.arrays import number_table


class Diabetes(Source):
    """Source: Efron, Hastie, Johnstone and Tibshirani 2004, "Least Angle Regression"."""

    def __init__(self, split: Sequence[float]) -> None:
        self.split = split

    def survey(self, seed: int) -> Splits:
        from sklearn.datasets import load_diabetes  # 0.6 s that other data does not need

        found = load_diabetes(scaled=False)
        values, target = found["data"], found["target"][:, None]
        return number_table("diabetes", found["feature_names"], values, ["progression"], target, self.split, seed)
