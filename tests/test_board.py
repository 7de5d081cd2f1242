"""The board of defaults: its arithmetic, and a small part of it as a guard, with wide margins and one seed.

The whole board is python -m tests.benchmarks.defaults.
"""

import json
import math
from pathlib import Path

import pytest

from tests.benchmarks import defaults
from tests.benchmarks.board import tally
from tests.benchmarks.board.base import Set, named
from tests.benchmarks.board.every import ROWS, SETS

CELLS = {"default": {0: 0.90, 1: 0.94}, "probe": {0: 0.91, 1: 0.97}, "full": {0: 0.80, 1: 0.82}}


def test_the_default_is_held_against_the_best_other_row_seed_by_seed() -> None:
    found = tally.behind(CELLS, higher=True)
    assert found is not None
    assert found.row == "probe"
    assert found.gap == pytest.approx((0.01 + 0.03) / 2)
    assert found.error == pytest.approx(math.sqrt(2) * 0.01 / math.sqrt(2))
    assert tally.behind({"default": {0: 0.9}}, higher=True) is None


@pytest.mark.parametrize(
    ("gap", "error", "figure", "loses"),
    [
        (0.03, 0.01, 0.9, True),
        (0.03, 0.02, 0.9, False),  # within two errors
        (0.009, 0.001, 0.99, False),  # within a point
        (0.02, 0.001, 0.5, False),  # within 5 % of an error of 0.5
        (0.03, math.nan, 0.9, True),  # one seed tells no error
        (-0.2, 0.0, 0.9, False),
    ],
)
def test_it_is_behind_where_that_is_more_than_chance_and_worth_a_word(
    gap: float, error: float, figure: float, loses: bool
) -> None:
    assert tally.loses(tally.Behind("probe", gap, error), figure) == loses


def test_ranks_go_from_the_best_to_the_worst_whatever_their_number_and_equal_rows_share_one() -> None:
    board = {"a": {"x": {0: 3.0}, "y": {0: 2.0}, "z": {0: 1.0}}, "b": {"x": {0: 0.5}, "y": {0: 0.5}}}
    assert tally.ranks(board, {"a": True, "b": True}) == {"x": (0 + 0.5) / 2, "y": (0.5 + 0.5) / 2, "z": 1.0}
    assert tally.ranks({"a": board["a"]}, {"a": False}) == {"x": 1.0, "y": 0.5, "z": 0.0}


def test_a_cell_is_kept_until_its_key_changes_and_a_failed_one_is_measured_again(tmp_path: Path) -> None:
    board, file = named(SETS, "digits"), tmp_path / "board.jsonl"
    cell = {"set": "digits", "row": "probe", "seed": 0, "figure": 0.9, "seconds": 1.0}
    lines = [{**cell, "key": defaults.key(board, "probe", 0)}, {**cell, "seed": 1, "key": "of other words"}]
    lines.append({"set": "digits", "row": "full", "seed": 0, "error": "no", "key": defaults.key(board, "full", 0)})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = defaults.read(file)
    assert defaults.found(kept, board, "probe", 0, older=False) == lines[0]
    assert defaults.found(kept, board, "probe", 1, older=False) is None
    assert defaults.found(kept, board, "probe", 1, older=True) == lines[1]
    assert defaults.found(kept, board, "full", 0, older=True) is None
    *_, counted = defaults.tables([(board, "probe", 0), (board, "probe", 1)], kept, older=True)
    assert counted == "2 of 2 cells are measured, 1 of them by other code."


def measured(board: Set, *rows: str) -> list[float]:
    board.write(Path())
    return [ROWS[board.kind][row](board, 0) for row in rows]


@pytest.mark.parametrize(
    ("board", "row", "margin"),
    [
        (
            Set(
                "d",
                "image",
                ("data=digits", "subset=100", "data.image_size=32", "trainer.max_epochs=8"),
                lambda folder: None,
            ),
            "probe",
            0.0,
        ),
        (named(SETS, "diabetes"), "boosted trees", 0.0),
        (named(SETS, "wine"), "linear", 0.05),
        (named(SETS, "spectra"), "ridge or logistic, all steps", 0.05),
    ],
)
def test_the_untouched_command_is_not_behind(
    board: Set, row: str, margin: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, other = measured(board, "default", row)
    assert mine >= other - margin
