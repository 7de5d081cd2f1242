"""What a run says of its frozen part, in words that follow from what was done."""

from typing import Any

import pytest

from ftlab.reports.frozen import line, place, rows, saved
from ftlab.reports.numbers import duration

KEPT = {"train": "memory", "val": "memory", "why": "3.0 MiB in memory", "found": 0}
DONE = {**KEPT, "bytes": 3 * 2**20, "seconds": 1.4, "computed": 568, "read": 1136, "seconds_per_sample": 0.01}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "frozen part: computed once for 568 samples, 3.0 MiB in memory, 1.4 s"),
        ({"bytes": 0, "seconds": 1e-5, "computed": 0}, "frozen part: in memory since an earlier phase"),
        (
            {"train": "disk", "val": "disk", "computed": 0, "found": 2, "seconds": 0.02},
            "frozen part: read from disk, 3.0 MiB, 20 ms",
        ),
        (
            {"train": "disk", "val": "disk", "computed": 299, "found": 1},
            "frozen part: computed once for 299 samples, the rest found on disk, 3.0 MiB on disk, 1.4 s",
        ),
        (
            {"train": "live", "val": "live", "why": "one epoch: nothing is computed twice", "bytes": 0},
            "frozen part: computed at every step; one epoch: nothing is computed twice",
        ),
        (
            {"train": "live", "why": "the images vary; of val: 3.0 MiB in memory"},
            "frozen part: computed at every step; the images vary; of val: 3.0 MiB in memory, 1.4 s",
        ),
        (
            {"train": "off", "val": "off", "why": "Net cannot be cut", "bytes": 0},
            "frozen part: computed with the rest of the network at every step; Net cannot be cut",
        ),
    ],
)
def test_the_line_of_a_phase_tells_what_was_done(changed: dict[str, Any], expected: str) -> None:
    assert line({**DONE, **changed}) == expected


@pytest.mark.parametrize(
    ("train", "trainable", "expected"),
    [("memory", 1, "in memory"), ("disk", 1, "on disk"), ("live", 1, "each step"), ("off", 1, "each step"),
     ("off", 9, "-")],
)  # fmt: skip
def test_a_phase_that_freezes_nothing_has_no_place(train: str, trainable: int, expected: str) -> None:
    cache = {**DONE, "train": train}
    assert place({"cache": cache, "trainable_parameters": trainable, "total_parameters": 9}) == expected
    assert place({"cache": None, "trainable_parameters": trainable, "total_parameters": 9}) == "-"


def test_what_was_saved_is_less_what_was_spent() -> None:
    assert saved(DONE) == pytest.approx(1136 * 0.01 - 1.4)
    assert saved({**DONE, "read": 100}) == pytest.approx(-0.4)
    assert (duration(-0.4), duration(0.4), duration(-61.0)) == ("-400 ms", "400 ms", "-1 min 01 s")


def test_rows_keep_the_numbers_of_their_phases() -> None:
    full = {"name": "all", "trainable_parameters": 9, "total_parameters": 9, "cache": {**DONE, "train": "off"}}
    again = {"name": "again", "trainable_parameters": 1, "total_parameters": 9, "cache": DONE}
    (row,) = rows([full, again])
    assert (row["number"], row["name"], row["read"]) == (2, "again", 1136)
