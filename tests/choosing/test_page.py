"""The page of a choice holds each run against what it is to be held against."""

import pytest

from ftlab.choosing.page import gained, lesson

STEPS = [
    {"name": "the plain default", "stage": "whole", "round": 0, "job": 0, "why": "", "source": ""},
    {"name": "as it stands", "stage": "short", "round": 1, "job": 1, "why": "", "source": ""},
    {"name": "higher rate", "stage": "short", "round": 1, "job": 2, "why": "", "source": ""},
    {"name": "higher rate", "stage": "whole", "round": 1, "job": 3, "why": "", "source": ""},
]
FIGURES = {"0": 0.8, "1": 0.5, "2": 0.6, "3": 0.75}


def test_a_gain_is_none_where_it_is_rounding_or_a_run_has_no_figure() -> None:
    assert gained(0.6, 0.5, 1) == pytest.approx(0.1)
    assert gained(0.6, 0.5, -1) == pytest.approx(-0.1)  # of a loss, higher is worse
    assert gained(0.5 + 1e-7, 0.5, 1) == gained(0.5 - 1e-7, 0.5, 1) == 0.0
    assert gained(None, 0.5, 1) is None
    assert gained(0.5, None, 1) is None


def test_short_runs_are_held_against_the_short_one_of_what_stood_and_whole_ones_against_the_plain_default() -> None:
    rows = {job: {"objective": value, "mode": "max"} for job, value in FIGURES.items()}
    short, whole = (lesson(step, STEPS, rows) for step in STEPS[2:])
    assert (short["against"], short["gain"]) == ("as it stands, short", pytest.approx(0.1))
    assert (whole["against"], whole["gain"]) == ("the plain default", pytest.approx(-0.05))
