"""Logistic regression: a linear layer without gradient descent on the network, the one best answer to a convex problem.

Shapes: n samples, d features, k outputs. Features are standardised for the fit, so that the penalty treats all alike;
the standardisation is folded into the layer that comes back, which takes the features as they are.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from ftlab.convex.losses import Loss, Sigmoid, Softmax
from ftlab.convex.standardised import FLOOR, Layer, Standardised

CANDIDATES = tuple(float(c) for c in np.logspace(-4, 4, 10))  # of C, those of scikit-learn's LogisticRegressionCV
FOLDS = 5
TOLERANCE = 1e-4  # largest entry of the gradient of the mean loss at which a fit has converged
MOST_STEPS = 5000
LARGE = 2**20  # values of all features from which the first steps are taken in 32 bits


def logistic(
    features: Tensor,
    targets: Tensor,
    classes: int,
    *,
    class_weights: Tensor | None = None,
    sample_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    strength: float | None = None,
    candidates: Sequence[float] = CANDIDATES,
    folds: int | Tensor = FOLDS,
    tolerance: float = TOLERANCE,
    floor: float = FLOOR,
) -> Layer:
    """Multinomial logistic regression: C * sum of weighted losses + half the squared weights; the bias is free.

    features (n, d), targets (n,) int64 or (n, classes) probabilities, class_weights (classes,), sample_weights (n,).
    `strength` is C; None: that of `candidates` with the least loss over `folds` (a number of stratified parts, or the
    part of each sample (n,)); on 100 to 1,259 digits its choice was right more often by 0.002 to 0.004 than that of the
    highest accuracy, which a single sample decides. Two classes share one logit, half for one and half against the
    other. A class without samples ends where its probability is about the tolerance. `floor`: see FLOOR.

    Source: the objective is that of scikit-learn's LogisticRegression(C); L-BFGS, Liu and Nocedal 1989.

    Raises: UserError for features that are not finite.
    """
    chances = functional.one_hot(targets, classes).double() if targets.ndim == 1 else targets.double()
    terms = chances * (1 - label_smoothing) + label_smoothing / classes
    terms = (terms * ones(class_weights, classes) * ones(sample_weights, len(features))[:, None]).T[None].contiguous()
    loss: Loss = Softmax(terms) if classes > 2 else Sigmoid(terms[:, 1:], terms[:, :1])
    fitted = fit(features, loss, chances.argmax(1), strength, candidates, folds, tolerance, floor)
    if classes > 2:
        return fitted
    halves = torch.tensor([[-0.5], [0.5]], dtype=torch.float64)
    return replace(fitted, weight=halves * fitted.weight, bias=halves[:, 0] * fitted.bias)


def one_vs_rest(
    features: Tensor,
    targets: Tensor,
    *,
    pos_weight: Tensor | None = None,
    sample_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    strength: float | None = None,
    candidates: Sequence[float] = CANDIDATES,
    folds: int | Tensor = FOLDS,
    tolerance: float = TOLERANCE,
    floor: float = FLOOR,
) -> Layer:
    """Logistic regression of each label by itself, all with the same C; arguments as of `logistic`.

    targets (n, k) from 0 to 1; pos_weight (k,): how often a sample counts that has a label.
    """
    labels, weights = targets.shape[1], ones(sample_weights, len(features))[:, None]
    smooth = targets.double() * (1 - label_smoothing) + label_smoothing / 2
    yes, no = smooth * ones(pos_weight, labels) * weights, (1 - smooth) * weights
    strata = (targets > 0.5).unique(dim=0, return_inverse=True)[1]
    loss = Sigmoid(yes.T[None].contiguous(), no.T[None].contiguous())
    return fit(features, loss, strata, strength, candidates, folds, tolerance, floor)


def ones(weights: Tensor | None, count: int) -> Tensor:
    return torch.ones(count, dtype=torch.float64) if weights is None else weights.double().cpu()


def fit(
    features: Tensor,
    loss: Loss,
    strata: Tensor,
    strength: float | None,
    candidates: Sequence[float],
    folds: int | Tensor,
    tolerance: float,
    floor: float,
) -> Layer:
    """The layer of the least loss at C = `strength`, or at the best of `candidates`."""
    # Half the digits, twice the speed: enough to tell candidates apart, and for all but the last steps.
    start: Tensor | None = None
    missed: float | None = None
    if strength is None:
        part = parts(strata, folds) if isinstance(folds, int) else folds
        rough = Standardised(features, floor, torch.float32)
        missed, strength, start = best(rough, loss, sorted(candidates), part, tolerance)
    elif features.numel() > LARGE:  # with less it saves no time, and where it ends hangs on the rounding of features
        rough = Standardised(features, floor, torch.float32)
        start, _ = least(rough, loss, strength, max(tolerance, TOLERANCE))
    rows = Standardised(features, floor)
    found, converged = least(rows, loss, strength, tolerance, start)
    return replace(rows.fold(found[0, :, :-1], found[0, :, -1], strength, converged), missed=missed)


def parts(strata: Tensor, folds: int) -> Tensor:
    """(n,) the part, 0 to folds - 1, of each sample: those of one stratum are dealt out in turn."""
    part = torch.empty_like(strata)
    part[strata.argsort(stable=True)] = torch.arange(len(strata)) % folds
    return part


def best(
    rows: Standardised, loss: Loss, candidates: Sequence[float], part: Tensor, tolerance: float
) -> tuple[float, float, Tensor]:
    """The least loss on parts that a candidate was not fitted on, that candidate, and the mean of its layers.

    The folds of a candidate are fitted at once, and each starts at its layer of the candidate before.
    """
    held_out = (part == part.unique()[:, None]).double()  # (g, n)
    training, judging = loss.only(1 - held_out), loss.only(held_out)
    layer: Tensor | None = None
    found: list[tuple[float, float, Tensor]] = []
    for strength in candidates:
        layer, _ = least(rows, training, strength, tolerance, layer)
        missed = sum(judging.at(outputs_of(layer, values), chosen)[0] for chosen, values in rows)
        found.append((missed, strength, layer.mean(0, keepdim=True)))
    return min(found, key=lambda candidate: candidate[0])


def outputs_of(layer: Tensor, values: Tensor) -> Tensor:
    """(g, k, rows) of layers (g, k, d + 1), the bias in the last column, on values (rows, d)."""
    narrow = layer.to(values.dtype)
    flat = narrow[..., :-1].flatten(0, 1) @ values.T
    return flat.view(*layer.shape[:2], -1) + narrow[..., -1:]


def least(
    rows: Standardised, loss: Loss, strength: float, tolerance: float, start: Tensor | None = None
) -> tuple[Tensor, bool]:
    """Weights and bias (g, k, d + 1) float64 of the least penalised loss, and whether they were reached."""
    weight, shape = loss.weight(), (*loss.shape, rows.d + 1)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        layer = torch.from_numpy(flat).view(shape)
        value, gradient = 0.5 / strength * layer[..., :-1].square().sum().item(), layer / strength
        gradient[..., -1] = 0.0
        for chosen, values in rows:
            part, by_outputs = loss.at(outputs_of(layer, values), chosen)
            value += part
            gradient[..., :-1] += (by_outputs.flatten(0, 1) @ values).view(*shape[:2], -1)
            gradient[..., -1] += by_outputs.sum(-1)
        return value / weight, (gradient / weight).flatten().numpy()

    begin = torch.zeros(shape, dtype=torch.float64) if start is None else start
    limits: dict[str, Any] = {"maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS, "gtol": tolerance, "maxls": 50}
    limits["ftol"] = 64 * np.finfo(float).eps
    found = minimize(objective, begin.flatten().numpy(), jac=True, method="L-BFGS-B", options=limits)
    return torch.from_numpy(found.x).view(shape), bool(found.status == 0)
