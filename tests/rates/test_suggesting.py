"""What a curve of losses over rising rates suggests."""

import math

import pytest

from ftlab.rates.suggesting import BLOWN, is_blown, longest_fall, rising, smoothed, suggestions


def test_rates_rise_by_the_same_factor() -> None:
    assert rising(1e-4, 1.0, 5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_a_smoothed_constant_is_that_constant_from_the_first_step_on() -> None:
    assert smoothed([3.0] * 7) == pytest.approx([3.0] * 7)


def test_a_smoothed_curve_weighs_the_losses_by_powers_of_the_memory() -> None:
    weights = [0.9**2, 0.9, 1.0]
    mean = sum(w * loss for w, loss in zip(weights, [4.0, 2.0, 1.0], strict=True)) / sum(weights)
    assert smoothed([4.0, 2.0, 1.0])[-1] == pytest.approx(mean)


def test_a_loss_far_above_the_least_or_no_number_ends_a_test() -> None:
    assert not is_blown([2.0, 1.0, BLOWN])
    assert is_blown([2.0, 1.0, 1.01 * BLOWN])
    assert is_blown([2.0, math.nan])


def test_a_loss_that_falls_below_zero_or_to_nearly_nothing_does_not_end_a_test() -> None:
    assert not is_blown([0.5, -0.1, -0.4])
    assert not is_blown([0.5, 0.01, 0.05])
    assert is_blown([0.5, -0.4, 0.2])


def test_the_longest_fall_may_leave_out_what_rises_between() -> None:
    assert longest_fall([5.0, 9.0, 4.0, 6.0, 3.0]) == [0, 2, 4]
    assert longest_fall([]) == []


def test_a_logistic_fall_is_steepest_at_its_middle_and_least_at_its_end() -> None:
    """loss(x) = 2 - 1 / (1 + exp(-(x - 30))), over 60 steps, then it rises again."""
    rates = rising(1e-6, 1.0, 80)
    losses = [2 - 1 / (1 + math.exp(30 - step)) for step in range(60)] + [1.1 + step for step in range(20)]
    found = suggestions(rates, losses)
    assert rates.index(found["steepest"]) in (29, 30)
    assert found["minimum"] == pytest.approx(rates[59] / 10)
    first = 8  # a tenth of the steps is left out
    assert rates.index(found["valley"]) == first + 2 * (60 - first) // 3


def test_nothing_is_suggested_where_the_loss_does_not_fall() -> None:
    rates = rising(1e-6, 1.0, 40)
    assert suggestions(rates, [1.0 + step for step in range(40)]) == {}
    assert suggestions(rates, [1.0 - 0.001 * step for step in range(40)]) == {}  # by 4 %, which may be chance
