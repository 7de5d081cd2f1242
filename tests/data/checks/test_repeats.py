"""Sequences of val and test that share steps with those of train.

Shapes: n sequences, t steps.
"""

from pathlib import Path

import numpy as np
import pytest

from ftlab.data.base import Splits
from ftlab.data.sources.sequence import Sequences
from ftlab.inputs.sequences.pieces import pieces
from ftlab.inputs.sequences.steps import Steps
from tests.data.test_sequence import DEFAULTS

LEVEL = np.cumsum(np.random.default_rng(0).normal(size=2000))


def cut(folder: Path, starts: range, length: int = 12, **settings: object) -> Splits:
    """Parts of one long series, that begin at `starts`, as a file of arrays has them, dealt out by a seed."""
    series = np.stack([LEVEL[start : start + length, None] for start in starts])
    np.savez(folder / "x.npz", series=series, targets=series[:, -1, 0], **settings)
    return Sequences(**{**DEFAULTS, "root": str(folder), "file": "x.npz"}).read(0)


def told(splits: Splits) -> dict[str, int]:
    return {one.kind: one.count for one in splits.problems if "runs of steps" in one.kind}


def test_parts_that_overlap_over_the_splits_are_counted(tmp_path: Path) -> None:
    splits = cut(tmp_path, range(0, 900, 3))
    begins = {
        split: {int(np.flatnonzero(part.inputs[i].series[0, 0] == LEVEL)[0]) for i in range(len(part))}
        for split, part in splits.parts().items()
    }
    train = begins.pop("train")
    # Runs of six of twelve steps are shared by what begins at most six steps apart.
    shared = {split: sum(any(abs(a - b) <= 6 for b in train) for a in own) for split, own in begins.items()}
    kind = "sequences of {} hold runs of steps that are in train too"
    assert told(splits) == {kind.format(split): count for split, count in shared.items()}
    assert min(shared.values()) > 40
    assert all(one.severity == "warning" for one in splits.problems if "runs of steps" in one.kind)


def test_parts_that_touch_or_hardly_overlap_are_not(tmp_path: Path) -> None:
    assert told(cut(tmp_path, range(0, 1800, 12))) == {}
    assert told(cut(tmp_path, range(0, 1800, 7))) == {}  # five steps in common


def test_parts_that_a_column_has_kept_apart_are_not(tmp_path: Path) -> None:
    splits = np.array(["train"] * 60 + ["val"] * 20 + ["test"] * 20)
    assert told(cut(tmp_path, range(0, 300, 3), split=splits)) != {}  # the two borders
    starts = range(0, 300, 3)
    assert sum(told(cut(tmp_path, starts, split=splits)).values()) == 2  # of val two begin within six steps of train's


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_stretches_that_do_not_change_are_no_sign(value: float) -> None:
    several = []
    for number in range(30):
        series = np.random.default_rng(number).normal(size=(20, 1))
        series[5:] = value
        several.append(Steps(None, series, ("a",)))
    found = pieces({"train": several[:20], "val": several[20:]})
    assert found is not None
    assert not set(np.concatenate(found["train"]).tolist()) & set(np.concatenate(found["val"]).tolist())


def test_equal_runs_are_found_at_any_place_of_sequences_of_any_length() -> None:
    words = [str(word) for word in np.random.default_rng(1).integers(0, 1000, 400)]
    train = [Steps(tuple(words[start : start + 20])) for start in range(0, 400, 20)]
    odd = Steps(("new", *words[103:117], "end"))  # 14 steps of one of train's, where 10 make a run
    other = Steps(tuple(reversed(words[100:140])))
    found = pieces({"train": train, "val": [odd, other]})
    assert found is not None
    known = set(np.concatenate(found["train"]).tolist())
    assert [len(known & set(own.tolist())) for own in found["val"]] == [5, 0]


def test_where_hardly_any_steps_differ_nothing_is_told() -> None:
    several = [Steps(tuple("ab"[bit] for bit in np.random.default_rng(n).integers(0, 2, 20))) for n in range(30)]
    assert pieces({"train": several[:20], "val": several[20:]}) is None
