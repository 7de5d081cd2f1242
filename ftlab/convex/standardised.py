"""Features that are standardised for a convex fit, and the layer that takes them as they are.

Shapes: n samples, d features, k outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ftlab.errors import UserError

# Smallest deviation that a feature is divided by, as a part of the root mean square of all features' deviations. A
# feature that was nearly constant in training and is not later would else decide alone: on 100 digits (default
# network, 269 to test on) the plain standardisation has a test loss of 18.2, an accuracy of 0.69 and a weight of 2,334;
# this floor 0.66, 0.77 and 0.5. Of 0.1, 0.3 and 1 none is better at 100 and at 300 by more than two images.
FLOOR = 0.3
IN_MEMORY = 2**28  # standardised values that are kept, 2 GiB; of more, chunks are made anew in each pass
CHUNK = 2**22  # values of a chunk


@dataclass(frozen=True)
class Layer:
    """A linear layer: features @ weight.T + bias."""

    weight: Tensor  # (k, d) float64
    bias: Tensor  # (k,) float64
    strength: float  # the C, or alpha, that it was fitted with
    converged: bool = True
    # What it misses on samples that it was not fitted on: to be held against other fits of the same targets. None where
    # nothing was chosen by it.
    missed: float | None = None


class Standardised:
    """Features (n, d) with mean 0 and variance 1 in each column, in chunks of rows; a constant column becomes 0."""

    def __init__(self, features: Tensor, floor: float = FLOOR, dtype: torch.dtype = torch.float64) -> None:
        """`floor`: the smallest deviation to divide by, see FLOOR; 0: none, as in scikit-learn's StandardScaler.

        Raises: UserError for values that are not finite."""
        self.features, self.dtype = features, dtype
        self.n, self.d = features.shape
        step = self.n if features.numel() <= IN_MEMORY else max(1, CHUNK // self.d)
        self.slices = [slice(i, min(i + step, self.n)) for i in range(0, self.n, step)]
        self.mean = torch.stack([features[rows].double().sum(0) for rows in self.slices]).sum(0) / self.n
        squares = torch.stack([(features[rows].double() - self.mean).square().sum(0) for rows in self.slices])
        deviation = (squares.sum(0) / self.n).sqrt()
        if not deviation.isfinite().all():
            raise UserError("closed form: some features are not finite numbers; look for bad values in the data")
        # The mean of equal numbers is off by rounding, and dividing by what is left would blow that up.
        constant = deviation <= 1e-12 * self.mean.abs()
        smallest = floor * deviation.square().mean().sqrt()
        self.scale = torch.where(constant, 0.0, 1 / deviation.clamp_min(smallest))
        self.kept = [self._values(rows) for rows in self.slices] if len(self.slices) == 1 else None

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """(which rows, their values)."""
        return zip(self.slices, self.kept or map(self._values, self.slices), strict=True)

    def _values(self, rows: slice) -> Tensor:
        return ((self.features[rows].double() - self.mean) * self.scale).to(self.dtype)

    def fold(self, weight: Tensor, bias: Tensor, strength: float, converged: bool = True) -> Layer:
        """The layer on the features as they are that equals `weight` (k, d) and `bias` (k,) on standardised ones."""
        folded = weight.double() * self.scale
        return Layer(folded, bias.double() - folded @ self.mean, strength, converged)
