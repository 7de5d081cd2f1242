"""Arrays of numbers as a table: what scikit-learn's small data sets are.

Shapes: n rows, d columns, t targets.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.splits import complete
from ftlab.inputs.tables.preprocessing import Columns, fit
from ftlab.targets.numbers import Numbers


def number_table(
    name: str,
    columns: Sequence[str],
    values: np.ndarray,
    targets: Sequence[str],
    numbers: np.ndarray,
    split: Sequence[float],
    seed: int,
) -> Splits:
    """Splits by `seed` of values (n, d) and the numbers (n, t) to predict."""
    rows = [dict(zip(columns, row, strict=True)) for row in values.astype(float).tolist()]
    names = [f"{name}/{index}" for index in range(len(rows))]
    everything = Samples(rows, torch.from_numpy(np.asarray(numbers, dtype=np.float32)), names)
    target = Numbers(tuple(targets))
    train, val, test, _ = complete(target, everything, None, None, split, seed)
    learn = partial(fit, columns=Columns(tuple(columns), ()))
    return Splits(train, val, test, target, kind="table", fit=learn)
