"""Ridge regression: a linear layer for numbers in closed form.

Shapes: n samples, d features, k outputs, r the smaller of n and the number of features that vary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.linalg import LinAlgError, eigh
from torch import Tensor

from ftlab.convex.logistic import ones
from ftlab.convex.standardised import FLOOR, Layer, Standardised

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-4, 6, 21))
DRIVERS = ("evd", "evr", "ev")  # of scipy's LAPACK, the fastest first; the last are QR steps alone
NUDGE = 1e-10  # of the largest entry, added to the diagonal where no driver converges


def ridge(
    features: Tensor,
    targets: Tensor,
    *,
    sample_weights: Tensor | None = None,
    alphas: Sequence[float] = ALPHAS,
    floor: float = FLOOR,
) -> Layer:
    """Ridge regression: sum of weighted squared errors + alpha * squared weights; the bias is free.

    features (n, d), targets (n,) or (n, k), sample_weights (n,). Of several `alphas` that with the least squared error
    of each sample when left out, summed over targets: e / (1 - h), with the error e and the leverage h of the fit.
    A feature without spread has the weight 0. With fewer samples than features the problem is solved in the samples'
    space (n x n), whose eigenvectors are as good and cost less. A layer that is not `converged` is that of a slightly
    larger penalty (see NUDGE).

    Sources: generalised cross-validation as in scikit-learn's RidgeCV; Golub, Heath and Wahba 1979; the samples' space:
    Saunders, Gammerman and Vovk 1998, "Ridge Regression Learning Algorithm in Dual Variables".

    Raises: UserError for features that are not finite.
    """
    rows = Standardised(features, floor)
    values = targets.double().reshape(len(features), -1)
    weights = ones(sample_weights, len(features))
    centre = sum((weights[chosen] @ z for chosen, z in rows), torch.zeros(rows.d).double()) / weights.sum()
    middle = weights @ values / weights.sum()
    few = rows.n < int((rows.scale != 0).sum())
    solve = _by_samples if few else _by_features
    found = solve(rows, values - middle, weights, centre, list(alphas))
    weight = torch.zeros(values.shape[1], rows.d).double()
    weight[:, rows.scale != 0] = found.weight[:, rows.scale != 0]
    fitted = rows.fold(weight, middle - weight @ centre, float(alphas[found.alpha]), found.converged)
    return replace(fitted, missed=found.missed)


@dataclass(frozen=True)
class _Found:
    weight: Tensor  # (k, d) of standardised features
    alpha: int  # place among the alphas
    converged: bool
    missed: float | None  # sum of the squared errors of samples left out; None of one alpha


def _by_features(
    rows: Standardised, values: Tensor, weights: Tensor, centre: Tensor, alphas: Sequence[float]
) -> _Found:
    """The fit to centred `values` (n, k) by the eigenvectors of the features' products (d, d)."""
    live = rows.scale != 0
    gram, moment = torch.zeros(rows.d, rows.d).double(), torch.zeros(rows.d, values.shape[1]).double()
    for chosen, z in rows:
        weighted = (z - centre) * weights[chosen, None]
        gram += weighted.T @ (z - centre)
        moment += weighted.T @ values[chosen]
    spectrum, axes, converged = spectrum_of(gram[live][:, live])
    along = axes.T @ moment[live]
    shrunk = 1 / (spectrum + torch.tensor(alphas, dtype=torch.float64)[:, None])  # (alphas, r)
    alpha, missed = 0, None
    if len(alphas) > 1:
        errors = torch.zeros(len(alphas), dtype=torch.float64)
        for chosen, z in rows:
            turned = (z - centre)[:, live] @ axes
            for place, factors in enumerate(shrunk):
                left = weights[chosen] * (turned.square() @ factors + 1 / weights.sum())
                error = values[chosen] - turned @ (factors[:, None] * along)
                errors[place] += (weights[chosen, None] * (error / (1 - left)[:, None]).square()).sum()
        alpha, missed = int(errors.argmin()), float(errors.min())
    weight = torch.zeros(values.shape[1], rows.d).double()
    weight[:, live] = (axes @ (shrunk[alpha][:, None] * along)).T
    return _Found(weight, alpha, converged, missed)


def _by_samples(rows: Standardised, values: Tensor, weights: Tensor, centre: Tensor, alphas: Sequence[float]) -> _Found:
    """The same by the eigenvectors of the samples' products (n, n).

    The error of a sample left out is c / g, with c the solution in this space and g the diagonal of the inverse, both
    without the direction of the mean, which the free bias takes. It is made the one of the largest eigenvalue, the
    last, so that it can be told from other directions without spread.
    """
    roots = weights.sqrt()
    centred = torch.cat([z - centre for _, z in rows]) * roots[:, None]  # (n, d): n is the smaller
    products, mean = centred @ centred.T, roots / roots.norm()
    spectrum, axes, converged = spectrum_of(products + (2 * products.norm() or 1.0) * torch.outer(mean, mean))
    spectrum, axes = spectrum[:-1], axes[:, :-1]
    along = axes.T @ (values * roots[:, None])
    shrunk = 1 / (spectrum + torch.tensor(alphas, dtype=torch.float64)[:, None])  # (alphas, n - 1)
    alpha, missed = 0, None
    if len(alphas) > 1:
        left_out = [axes @ (s[:, None] * along) / (axes.square() @ s)[:, None] for s in shrunk]
        sums = torch.stack([errors.square().sum() for errors in left_out])
        alpha, missed = int(sums.argmin()), float(sums.min())
    return _Found((centred.T @ (axes @ (shrunk[alpha][:, None] * along))).T, alpha, converged, missed)


def spectrum_of(products: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Eigenvalues (r,), not negative, eigenvectors (r, r) of a matrix of products, and whether they are its own.

    torch's own is the fastest, but asks one driver of the LAPACK that it was built with, which gives up on matrices of
    low rank on some processors: 1280 x 1280 of rank 19 (MKL, AVX-512), which scipy's LAPACK takes apart.
    """
    if not len(products):
        return products.diagonal(), products, True
    for solve in (torch.linalg.eigh, *(partial(_scipys, driver) for driver in DRIVERS)):
        try:
            spectrum, axes = solve(products)
        except (torch.linalg.LinAlgError, LinAlgError):
            continue
        return spectrum.clamp_min(0.0), axes, True
    # Singular values are found where eigenvalues are not; those of a matrix of products are the same numbers.
    axes, spectrum, _ = torch.linalg.svd(products + NUDGE * products.abs().max() * torch.eye(len(products)).double())
    return spectrum.flip(0), axes.flip(1), False


def _scipys(driver: str, products: Tensor) -> tuple[Tensor, Tensor]:
    spectrum, axes = eigh(products.numpy(), driver=driver)
    return torch.from_numpy(spectrum), torch.from_numpy(axes)
