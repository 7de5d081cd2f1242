"""Windows are seen relative to their last step where levels drift, by what ridge regression then makes of val."""

import numpy as np
import torch

from ftlab.inputs.sequences.levels import Windows, chosen, flat
from ftlab.inputs.sequences.steps import Steps


def windows(series: np.ndarray, places: range) -> Windows:
    """Of eight steps; the target is the step behind them."""
    steps = [Steps(None, series[place : place + 8, None], ("level",)) for place in places]
    return Windows(steps, torch.tensor([[series[place + 8]] for place in places], dtype=torch.float32))


def test_a_series_that_climbs_away_from_its_training_levels_is_seen_from_the_last_step() -> None:
    time = np.arange(400.0)
    slow = 3 * np.sin(time / 5) + np.random.default_rng(0).normal(0, 0.2, 400)
    climbing = slow + np.exp(time / 100)
    levels, said = chosen(windows(climbing, range(200)), windows(climbing, range(210, 380)), (0,))
    assert levels == (0,)
    assert said.startswith("data.level=auto: last")


def test_a_series_whose_level_tells_what_comes_keeps_it() -> None:
    draw = np.random.default_rng(0).normal(0, 1, 400)  # what comes is near the mean, wherever the last step was
    levels, said = chosen(windows(draw, range(200)), windows(draw, range(210, 380)), (0,))
    assert (levels, said) == (None, "")


def test_what_is_relative_keeps_the_chosen_channels_of_the_last_step() -> None:
    series = torch.tensor([[[1.0, 10.0], [2.0, 30.0], [4.0, 60.0]]])
    assert flat(series, None).tolist() == [[1, 10, 2, 30, 4, 60]]
    assert flat(series, [1]).tolist() == [[-3, -50, -2, -30, 60]]
