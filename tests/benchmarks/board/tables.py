"""Public tables, each as a CSV file as people have it: scikit-learn's, and those that statsmodels ships."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from tests.benchmarks.board.base import Set

LARGE = 5000  # rows of randhie that are taken
Columns = Mapping[str, Sequence[object]]


def written(columns: Callable[[], Columns]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        found = columns()
        with (folder / "table.csv").open("w", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerow(found)
            lines.writerows(zip(*found.values(), strict=True))

    return write


def bunch(load: Callable[[], Any], target: str = "target") -> Callable[[], Columns]:
    """A table of scikit-learn; its classes by name."""

    def columns() -> Columns:
        data = load()
        names = [str(name).replace(" ", "_") for name in data.feature_names]
        kinds = getattr(data, "target_names", None)
        answer = data.target if kinds is None else [f"class {kinds[k]}" for k in data.target]
        return {**dict(zip(names, data.data.T.tolist(), strict=True)), target: list(answer)}

    return columns


def models(name: str, change: Callable[[dict[str, np.ndarray]], Columns]) -> Callable[[], Columns]:
    """A table of statsmodels."""

    def columns() -> Columns:
        from importlib import import_module

        frame = import_module(f"statsmodels.datasets.{name}").load_pandas().data
        return change({column: frame[column].to_numpy() for column in frame.columns})

    return columns


def chosen(values: np.ndarray, *names: str) -> list[str]:
    """0, 1, ... as words, as people write categories."""
    return [names[int(value)] for value in values]


def affair(found: dict[str, np.ndarray]) -> Columns:
    hours = found.pop("affairs")
    return found | {"affair": chosen(hours > 0, "no", "yes")}


def votes(found: dict[str, np.ndarray]) -> Columns:
    return found | {"vote": chosen(found["vote"], "Clinton", "Dole")}


def modes(found: dict[str, np.ndarray]) -> Columns:
    """Each traveller has a row for each of four ways to go, of which one was taken."""
    kinds = chosen(found["mode"] - 1, "air", "train", "bus", "car")
    return found | {"mode": kinds, "choice": chosen(found["choice"], "no", "yes")}


def schools(found: dict[str, np.ndarray]) -> Columns:
    above, below = found.pop("NABOVE"), found.pop("NBELOW")
    return found | {"share": above / (above + below)}


def visits(found: dict[str, np.ndarray]) -> Columns:
    taken = np.random.default_rng(0).permutation(len(found["mdvis"]))[:LARGE]
    return {name: values[taken] for name, values in found.items()}


def whole(found: dict[str, np.ndarray]) -> Columns:
    return found


FILE = ("data=table", "data.file=table.csv")


def classes(name: str, columns: Callable[[], Columns], label: str, *words: str) -> Set:
    return Set(name, "table", (*FILE, f"data.label_column={label}", *words), written(columns))


def numbers(name: str, columns: Callable[[], Columns], target: str, *words: str) -> Set:
    typed = ("task=regression", *FILE, f"data.target_columns=[{target}]", *words)
    return Set(name, "table", typed, written(columns), "r2")


SETS = (
    classes("wine", bunch(datasets.load_wine), "target"),
    classes("breast cancer", bunch(datasets.load_breast_cancer), "target"),
    classes("digits' pixels", bunch(datasets.load_digits), "target"),
    classes("anes96", models("anes96", votes), "vote", "data.drop=[popul]"),
    classes("modechoice", models("modechoice", modes), "choice", "data.group_column=individual"),
    classes("fair, any", models("fair", affair), "affair"),
    numbers("diabetes", bunch(lambda: datasets.load_diabetes(scaled=False)), "target"),
    numbers("star98", models("star98", schools), "share"),
    numbers("grunfeld", models("grunfeld", whole), "invest"),
    numbers("fair, hours", models("fair", whole), "affairs"),
    numbers("randhie", models("randhie", visits), "mdvis"),
)
