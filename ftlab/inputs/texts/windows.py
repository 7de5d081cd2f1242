"""Windows of a long text: they lie one after the other in its sample, parted by a position that the mask leaves out.

So a sample is one row in the loader, in a cache and for a head; only the network itself sees a row a window.

Shapes: b batch, t positions of all windows of a sample, r windows of all samples, s positions of the longest window.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad


def begins(mask: Tensor) -> Tensor:
    """(b, t) bool, True at the first position of each window."""
    return mask & ~pad(mask, (1, -1))


def ends(mask: Tensor) -> Tensor:
    """(b, t) bool, True at the last position of each window."""
    return mask & ~pad(mask, (-1, 1))


def are_several(mask: Tensor) -> bool:
    """Whether a sample has more than one window; of what has no values (meta) nobody knows, and one is taken."""
    return not mask.is_meta and bool(begins(mask)[:, 1:].any())


class Windows:
    """Where each position of samples goes as a row a window. Of masks that do not begin with what only fills."""

    def __init__(self, mask: Tensor) -> None:
        """mask: (b, t) bool."""
        self.mask = mask
        first = begins(mask).flatten()
        starts = first.nonzero().flatten()
        inside = mask.flatten().nonzero().flatten()
        self.row = (first.cumsum(0) - 1)[inside]  # (positions,) of the window
        self.column = inside - starts[self.row]  # (positions,) inside the window
        self.sample = starts // mask.shape[1]  # (r,) that each window is of
        self.start = starts % mask.shape[1]  # (r,) position in its sample at which each window begins
        self.shape = len(starts), int(self.column.max()) + 1

    def apart(self, values: Tensor, fill: float = 0) -> Tensor:
        """Values (b, t, ...) as (r, s, ...); what is beyond the end of a window is `fill`."""
        found = values.new_full((*self.shape, *values.shape[2:]), fill)
        found[self.row, self.column] = values[self.mask]
        return found

    def together(self, values: Tensor) -> Tensor:
        """Values (r, s, ...) as (b, t, ...), 0 where the mask leaves a position out."""
        found = values.new_zeros(*self.mask.shape, *values.shape[2:])
        found[self.mask] = values[self.row, self.column]
        return found


def joined(windows: Sequence[Tensor], fill: int | bool) -> Tensor:
    """The windows (s, ...) of one sample as (t, ...), parted by one position of `fill`."""
    gap = windows[0].new_full((1, *windows[0].shape[1:]), fill)
    return torch.cat([part for one in windows for part in (gap, one)][1:])
