"""How much the features of a frozen network tell of what is to be predicted, before anything trains: pure maths.

Shapes: n samples, d features, k targets (one for each class).
"""

import numpy as np
import torch
from torch import Tensor

STEPS = 100  # of the fixed point, which is there after a few
NEAR = 1e-6  # relative change of a step at which it is there
TINY = 1e-12


def log_evidence(features: Tensor, targets: Tensor) -> float:
    """LogME: the log evidence, per sample, of a Bayesian linear model of each of `targets` (n, k) on features (n, d),
    in the mean over the targets. Higher is better; of classes `targets` are 0 and 1.

    Source: You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning"; the fixed point
    is MacKay's of 1992.
    """
    values, wanted = features.double().numpy(), targets.double().numpy()
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    known = singular > singular.max(initial=0.0) * max(values.shape) * np.finfo(float).eps
    left, squares = left[:, known], singular[known] ** 2
    return float(np.mean([evidence(left, squares, column, values.shape[1]) for column in wanted.T]))


def evidence(left: np.ndarray, squares: np.ndarray, target: np.ndarray, width: int) -> float:
    """The largest log evidence per sample over both precisions, of the weights and of the noise.

    left (n, r): left singular vectors of the features, squares (r,): their singular values, squared; width: d.
    """
    n = len(target)
    inside = (left.T @ target) ** 2
    outside = max(float(target @ target - inside.sum()), 0.0)  # what no feature tells
    weights = noise = 1.0
    for _ in range(STEPS):
        ratio = weights / noise
        effective = float((squares / (squares + ratio)).sum())
        norm = float((squares * inside / (squares + ratio) ** 2).sum())
        missed = float((inside * (ratio / (squares + ratio)) ** 2).sum()) + outside
        weights, noise = max(effective, TINY) / (norm + TINY), max(n - effective, TINY) / (missed + TINY)
        if abs(weights / noise - ratio) <= NEAR * ratio:
            break
    ratio = weights / noise
    norm = float((squares * inside / (squares + ratio) ** 2).sum())
    missed = float((inside * (ratio / (squares + ratio)) ** 2).sum()) + outside
    spread = np.log(weights + noise * squares).sum() + (width - len(squares)) * np.log(weights)
    fit = width * np.log(weights) + n * np.log(noise) - noise * missed - weights * norm - n * np.log(2 * np.pi)
    return float(fit - spread) / (2 * n)


def h_score(features: Tensor, classes: Tensor) -> float:
    """How far apart the means of the classes (n,) lie among features (n, d), by the features' own spread.

    Source: Bao et al. 2019, "An Information-Theoretic Approach to Transferability in Task Transfer Learning"; with the
    shrunken covariance of Ibrahim et al. 2021, "Newer is not always better".
    """
    from sklearn.covariance import ledoit_wolf

    values = features.double().numpy()
    values = values - values.mean(axis=0)
    means = np.zeros_like(values)
    for label in classes.unique().tolist():
        own = (classes == label).numpy()
        means[own] = values[own].mean(axis=0)
    covariance, shrinkage = ledoit_wolf(values, assume_centered=True)
    between = means.T @ means / len(values)
    return float((1 - shrinkage) * np.trace(np.linalg.pinv(covariance, hermitian=True) @ between))


def columns(targets: Tensor, classes: int) -> Tensor:
    """(n, k) for log_evidence: classes (n,) as 0 and 1, numbers with mean 0 and variance 1."""
    if targets.ndim == 1:
        return torch.nn.functional.one_hot(targets, classes).double()
    numbers = targets.double()
    return (numbers - numbers.mean(0)) / numbers.std(0).clamp_min(TINY)
