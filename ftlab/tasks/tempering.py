"""Probabilities under another temperature. Apart from what finds one, which needs torchmetrics.

Shapes: b batch, k classes.
"""

from torch import Tensor

LEAST = 1e-30  # probability, whose logarithm is still a number


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """(b, k) as they are where the outputs that they are of are divided by `temperature`."""
    if temperature == 1:
        return probabilities
    return (probabilities.clamp_min(LEAST).log() / temperature).softmax(dim=1)
