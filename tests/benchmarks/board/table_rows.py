"""What a table is measured with: ftlab untouched and by other strategies of its own, and what people take for tables.

The recipes learn from the same rows of train; a missing number is the median, or told to those that know it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ftlab.inputs.tables.cells import as_category, as_number, cell_of
from tests.benchmarks.board.base import PLAINLY, Row, Set, ours, splits


@dataclass
class Arrays:
    """(n, d) numbers with nan where they are missing, (n, m) codes of categories, (n,) targets; of train and test."""

    numbers: list[np.ndarray]
    codes: list[np.ndarray]
    targets: list[np.ndarray]

    @property
    def dense(self) -> list[np.ndarray]:
        """Numbers without gaps beside a column for each category."""
        middle = np.nanmedian(self.numbers[0], axis=0) if self.numbers[0].size else np.zeros(self.numbers[0].shape[1])
        full = [np.where(np.isnan(part), middle, part) for part in self.numbers]
        width = self.codes[0].max(axis=0, initial=0) + 1
        hot = [
            np.concatenate([np.eye(size)[np.minimum(part[:, i], size - 1)] for i, size in enumerate(width)], axis=1)
            if len(width)
            else np.zeros((len(part), 0))
            for part in self.codes
        ]
        return [np.concatenate(pair, axis=1) for pair in zip(full, hot, strict=True)]


def arrays(board: Set, seed: int) -> Arrays:
    found = splits(board, seed)
    assert found.fit is not None
    assert found.test is not None
    prepared = found.fit(found.train.inputs)
    made = Arrays([], [], [])
    for samples in (found.train, found.test):
        rows = [samples.inputs[place] for place in range(len(samples))]
        numbers = [[cell_of(row, column.name, as_number) for column in prepared.numbers] for row in rows]  # type: ignore[attr-defined]
        codes = [
            [column.known.get(cell_of(row, column.name, as_category), 0) for column in prepared.categories]  # type: ignore[attr-defined]
            for row in rows
        ]
        made.numbers.append(np.array(numbers, dtype=float).reshape(len(rows), -1))
        made.codes.append(np.array(codes, dtype=int).reshape(len(rows), -1))
        made.targets.append(np.asarray(samples.targets).reshape(len(rows)))
    return made


Pair = tuple[Callable[[int], object], Callable[[int], object]]  # with a seed: one for classes, one for numbers


def learner(pair: Pair, gaps: bool = False) -> Row:
    """`gaps`: takes numbers that are missing, and categories by their codes, as they are."""

    def measured(board: Set, seed: int) -> float:
        data = arrays(board, seed)
        regression = board.metric == "r2"
        made = pair[regression](seed)
        inputs = data.dense
        if gaps:
            inputs = [np.concatenate(part, axis=1) for part in zip(data.numbers, data.codes, strict=True)]
            first = data.numbers[0].shape[1]
            made.set_params(categorical_features=list(range(first, inputs[0].shape[1])) or None)  # type: ignore[attr-defined]
        made.fit(inputs[0], data.targets[0])  # type: ignore[attr-defined]
        score = r2_score if regression else accuracy_score
        return float(score(data.targets[1], made.predict(inputs[1])))  # type: ignore[attr-defined]

    return measured


BOOSTED: Pair = (
    lambda seed: HistGradientBoostingClassifier(random_state=seed),
    lambda seed: HistGradientBoostingRegressor(random_state=seed),
)
FOREST: Pair = (
    lambda seed: RandomForestClassifier(random_state=seed),
    lambda seed: RandomForestRegressor(random_state=seed),
)
LINEAR: Pair = (
    lambda seed: make_pipeline(StandardScaler(), LogisticRegressionCV(max_iter=1000, **PLAINLY)),
    lambda seed: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-4, 6, 21))),
)
PLAIN: dict[str, Any] = {"early_stopping": True, "n_iter_no_change": 30, "max_iter": 500, "batch_size": 32}
PERCEPTRON: Pair = (
    lambda seed: make_pipeline(StandardScaler(), MLPClassifier(**PLAIN, random_state=seed)),
    lambda seed: TransformedTargetRegressor(
        make_pipeline(StandardScaler(), MLPRegressor(**PLAIN, random_state=seed)), transformer=StandardScaler()
    ),
)

ROWS: dict[str, Row] = {
    "default": ours(),
    "ours: closed_form": ours("strategy=closed_form"),
    "ours: full": ours("strategy=full"),
    "boosted trees": learner(BOOSTED, gaps=True),
    "forest": learner(FOREST),
    "linear": learner(LINEAR),
    "perceptron": learner(PERCEPTRON),
}
