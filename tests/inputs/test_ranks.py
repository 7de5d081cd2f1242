"""Where a number lies among those of its column that were trained on."""

import numpy as np
import pytest

from ftlab.inputs.tables.columns import number_column, stored_numbers

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize(
    "cells",
    [DRAW.exponential(size=500), DRAW.integers(0, 3, 60).astype(float), np.r_[np.zeros(300), DRAW.normal(size=100)]],
    ids=["skewed", "few values", "mostly zero"],
)
def test_a_rank_is_a_line_between_quantiles_of_the_training_cells(cells: np.ndarray) -> None:
    column = number_column("x", cells.tolist())
    edges = np.unique(np.quantile(cells, np.linspace(0, 1, 49)))
    asked = np.r_[cells.min() - 9, np.linspace(cells.min(), cells.max(), 101), cells.max() + 9]
    expected = np.interp(asked, edges, np.linspace(0, 1, len(edges)))
    np.testing.assert_allclose([column.rank(float(x)) for x in asked], expected, atol=1e-12)


@pytest.mark.parametrize("cells", [[3.0, 3.0], [None, None]])
def test_a_column_that_says_nothing_has_the_rank_0(cells: list[float | None]) -> None:
    assert number_column("x", cells).rank(7.0) == 0.0


def test_a_column_of_an_earlier_version_has_no_edges_and_edges_that_do_not_rise_are_refused() -> None:
    assert stored_numbers("x", 0.0, 1.0, 0.0, False).rank(0.5) == 0.0
    with pytest.raises(ValueError, match="edges of column 'x' do not rise"):
        stored_numbers("x", 0.0, 1.0, 0.0, False, [0.0, 2.0, 1.0])
