"""Where the predictions of one target are wrong, and by how much, as the report draws it.

Shapes: n samples.
"""

from typing import Any

import torch
from torch import Tensor

POINTS = 500  # of the scatter plot: more hide each other and make the page large
BINS = 30  # of the histogram
RANGES = 8  # of the true values, with equally many samples each
LEAST = 5  # samples of a range


def residuals(pairs: Tensor) -> dict[str, Any]:
    """Plain figures of predictions beside the truth (n, 2): points, histogram of the errors, errors by range.

    What is not finite is left out. error: prediction - truth.
    """
    finite = pairs[pairs.isfinite().all(dim=1)].double()
    return {"points": _points(finite), "histogram": _histogram(finite), "ranges": _ranges(finite)}


def _points(pairs: Tensor) -> list[list[float]]:
    """[truth, prediction] of samples that are evenly spaced in the split."""
    step = max(1, -(-len(pairs) // POINTS))
    return [[_short(truth), _short(prediction)] for prediction, truth in pairs[::step].tolist()]


def _histogram(pairs: Tensor) -> dict[str, Any]:
    """counts of the errors between edges, one more than counts; the middle edge is zero."""
    if not len(pairs):
        return {"edges": [], "counts": []}
    errors = pairs[:, 0] - pairs[:, 1]
    largest = float(errors.abs().max()) or 1.0
    counts = torch.histc(errors, BINS, -largest, largest).long()
    return {
        "edges": [_short(x) for x in torch.linspace(-largest, largest, BINS + 1).tolist()],
        "counts": counts.tolist(),
    }


def _ranges(pairs: Tensor) -> list[dict[str, Any]]:
    """Mean absolute error and mean error (bias) of samples from `low` to `high`; equal values stay together."""
    ordered = pairs[pairs[:, 1].argsort()]
    truths = ordered[:, 1].contiguous()
    parts = max(1, min(RANGES, len(pairs) // LEAST))
    edges = truths[[round(place * len(pairs) / parts) for place in range(1, parts)]].unique()
    groups = torch.bucketize(truths, edges, right=True)
    found = []
    for group in groups.unique():
        members = ordered[groups == group]
        errors = members[:, 0] - members[:, 1]
        found.append(
            {
                "low": _short(members[0, 1]),
                "high": _short(members[-1, 1]),
                "samples": len(members),
                "mae": _short(errors.abs().mean()),
                "bias": _short(errors.mean()),
            }
        )
    return found


def _short(value: Tensor | float) -> float:
    """Six digits: a picture has fewer, and the report stays small."""
    return float(f"{float(value):.6g}")
