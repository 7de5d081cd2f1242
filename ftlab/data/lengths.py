"""Orders in which samples of about one length come together, so that little fills up the shorter ones of a batch.

Shapes: n samples.
"""

import torch
from torch import Tensor

SORTED = 50  # windows that are sorted together at most; with more of them an epoch is hardly random any more
LEAST = 4  # stretches of an epoch that are sorted one by one at least


def sorted_by_length(lengths: Tensor) -> Tensor:
    """(n,) places, the longest first: what does not fit into memory does so at once. lengths: (n,)."""
    return lengths.argsort(descending=True, stable=True)


def grouped_by_length(lengths: Tensor, window: int, generator: torch.Generator) -> Tensor:
    """(n,) places in a random order, in which each `window` holds samples of about one length. lengths: (n,).

    A random order is cut into stretches of several windows, each of which is sorted; then the windows are shuffled.
    What is left over at the end stays there. Source: transformers' LengthGroupedSampler (group_by_length), which leaves
    the sorted stretches as they are, so that the longest samples always come first.
    """
    order = torch.randperm(len(lengths), generator=generator)
    stretch = window * max(1, min(len(lengths) // (LEAST * window), SORTED))
    order = torch.cat([part[sorted_by_length(lengths[part])] for part in order.split(stretch)])
    whole = len(order) // window
    windows = order[: whole * window].view(whole, window)
    return torch.cat([windows[torch.randperm(whole, generator=generator)].flatten(), order[whole * window :]])
