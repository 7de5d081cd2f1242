"""The scores that rank networks, against their definitions."""

import numpy as np
import pytest
import torch

from ftlab.choosing.scores import columns, h_score, log_evidence


def marginal(features: np.ndarray, target: np.ndarray, weights: float, noise: float) -> float:
    """log N(target | 0, I / noise + F F' / weights) per sample: what the evidence is, written down as it is defined."""
    covariance = np.eye(len(target)) / noise + features @ features.T / weights
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * (log_determinant + target @ np.linalg.solve(covariance, target)) / len(target))


@pytest.mark.parametrize("width", [3, 30])  # fewer features than samples, and more
def test_the_log_evidence_is_the_largest_marginal_likelihood_over_both_precisions(width: int) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(20, width))
    target = features[:, 0] + draw.normal(size=20)
    grid = np.logspace(-3, 3, 61)
    best = max(marginal(features, target, weights, noise) for weights in grid for noise in grid)
    found = log_evidence(torch.from_numpy(features), torch.from_numpy(target)[:, None])
    assert best - 1e-9 <= found <= best + 0.02  # between two points of the grid it may be higher


def test_features_that_tell_the_classes_score_above_features_of_chance() -> None:
    draw = torch.Generator().manual_seed(0)
    classes = torch.arange(60) % 3
    chance = torch.randn(60, 5, generator=draw)
    telling = chance + 2 * torch.nn.functional.one_hot(classes, 5)
    wanted = columns(classes, 3)
    assert wanted.sum(1).tolist() == [1.0] * 60
    assert log_evidence(telling, wanted) > log_evidence(chance, wanted) + 0.1
    assert h_score(telling, classes) > h_score(chance, classes) + 0.5


def test_the_h_score_of_classes_without_spread_of_their_own_is_the_number_of_ways_in_which_they_differ() -> None:
    """Three points in the plane, a class each: what differs is all between classes, in two directions."""
    points = torch.tensor([[0.0, 1.0], [1.0, -1.0], [-1.0, 0.0]]).repeat(2000, 1)
    assert h_score(points, torch.arange(6000) % 3) == pytest.approx(2.0, abs=0.01)  # the shrinkage is next to none


def test_numbers_are_brought_to_one_scale() -> None:
    found = columns(torch.tensor([[1.0, 100.0], [2.0, 300.0], [3.0, 200.0]]), 0)
    assert found.mean(0).tolist() == pytest.approx([0, 0])
    assert found.std(0).tolist() == pytest.approx([1, 1])
