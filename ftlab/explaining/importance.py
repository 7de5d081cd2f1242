"""Which columns of a table the figures of a split hang on.

Shapes: n rows, c columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ftlab.inputs.base import Inputs
from ftlab.predictor import Predictor

REPEATS = 5
MOST = 1000  # rows of a split that are looked at


def importance(predictor: Predictor, inputs: Inputs, targets: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each column how much worse the objective is, in the mean, once its cells are those of other rows, by chance;
    the most important first. Breiman 2001, "Random Forests", as scikit-learn does it."""
    from sklearn.inspection import permutation_importance

    count = min(MOST, len(inputs))
    rows = [inputs[place] for place in range(count)]
    true = predictor.task.spec.target.gathered(targets, torch.arange(count))
    sign = 1 if predictor.task.mode == "max" else -1

    def score(_: Any, places: np.ndarray, __: Any) -> float:
        """places: (n, c), of which row each cell is."""
        mixed = [{name: rows[at][name] for name, at in zip(names, row, strict=True)} for row in places.tolist()]
        return sign * objective(predictor, mixed, true)

    places = np.repeat(np.arange(count)[:, None], len(names), axis=1)
    found = permutation_importance(_Fitted(), places, places[:, 0], scoring=score, n_repeats=REPEATS, random_state=0)
    columns = zip(names, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    return sorted(({"column": n, "mean": m, "std": s} for n, m, s in columns), key=lambda one: -one["mean"])


class _Fitted:
    """What scikit-learn takes for a learner; the score is computed without it."""

    def fit(self, *_: Any) -> "_Fitted":
        return self

    def predict(self, places: np.ndarray) -> np.ndarray:
        return places


def objective(predictor: Predictor, rows: Sequence[Any], true: Any) -> float:
    ready: list[Any] = [predictor.prepared(row) for row in rows]
    metrics, task = predictor.task.metrics(len(rows)), predictor.task
    metrics.update(*task.compared(predictor.answers(ready, len(ready)), true))
    value = task.figures(metrics.compute())[task.objective]
    return float("nan") if value is None else value
