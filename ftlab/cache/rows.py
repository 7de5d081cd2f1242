"""The rows of one value: what it is for each sample, in memory or in a mapped file, exact or coarser.

Shapes: n rows, b batch, ... of one sample's value.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from ftlab.cache.settings import Dtype
from ftlab.errors import UserError

HEAD = 8  # bytes before each row of uint8: its smallest value and its step, float32
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Rows:
    """Rows of values of the shape `shape` and the type `dtype`, kept as `kept`, in an array of bytes (n, width)."""

    def __init__(self, array: np.ndarray, shape: Sequence[int], dtype: torch.dtype, kept: Dtype) -> None:
        """`array`: uint8 (n, bytes_of(shape, dtype, kept)), in memory or mapped."""
        self.array, self.shape, self.dtype = array, tuple(shape), dtype
        self.coarse = dtype.is_floating_point and kept == "uint8"
        self.type = kept_type(dtype, kept)

    def put(self, places: Tensor, values: Tensor) -> None:
        """Keep values (b, ...) of the rows `places` (b,)."""
        values = values.detach().cpu().reshape(len(values), -1)
        rows = quantised(values.float()) if self.coarse else narrowed(values, self.type).view(torch.uint8)
        self.array[places.numpy()] = rows.numpy()

    def get(self, places: Tensor) -> Tensor:
        """The values (b, ...) of the rows `places` (b,), of the type that they were computed in."""
        rows = torch.from_numpy(self.array[places.numpy()])
        values = restored(rows) if self.coarse else rows.view(self.type)
        return values.to(self.dtype).view(len(places), *self.shape)


class RaggedRows:
    """Of samples with a number of positions each, which lie one after the other in the rows of all positions."""

    def __init__(self, rows: Rows, counts: Tensor) -> None:
        """counts: (n,) int64, the positions of each sample."""
        self.rows, self.counts = rows, counts
        self.starts = counts.cumsum(0) - counts

    def put(self, places: Tensor, values: Tensor) -> None:
        """Keep values (b, t, ...) of the samples `places` (b,); what fills up the shorter ones is let go."""
        inside = self._inside(places, values.shape[1])
        self.rows.put(self._positions(places, inside), values.detach().cpu()[inside])

    def get(self, places: Tensor) -> Tensor:
        """The values (b, t, ...), those of shorter samples filled up with 0."""
        inside = self._inside(places, int(self.counts[places].max()))
        found = self.rows.get(self._positions(places, inside))
        filled = found.new_zeros(*inside.shape, *found.shape[1:])
        filled[inside] = found
        return filled

    def _inside(self, places: Tensor, longest: int) -> Tensor:
        return torch.arange(longest) < self.counts[places][:, None]

    def _positions(self, places: Tensor, inside: Tensor) -> Tensor:
        return (self.starts[places][:, None] + torch.arange(inside.shape[1]))[inside]


def narrowed(values: Tensor, kept: torch.dtype) -> Tensor:
    """Raises: UserError for a finite value that becomes infinite."""
    found = values.to(kept).contiguous()
    if kept == torch.float16 != values.dtype and (found.isinf() & values.isfinite()).any():
        largest = float(values[values.isfinite()].abs().max())
        raise UserError(
            f"cache.dtype=float16: holds at most 65504, and a value at the freeze border is {largest:g}; use bfloat16"
        )
    return found


def kept_type(dtype: torch.dtype, kept: Dtype) -> torch.dtype:
    """Whole numbers and masks are kept as they are, and nothing is kept wider than it was computed.

    float32 is exact, so in a run of float64 it keeps that.
    """
    if kept == "float32":
        return dtype
    wanted = DTYPES.get(kept, torch.uint8)
    return wanted if dtype.is_floating_point and wanted.itemsize < dtype.itemsize else dtype


def bytes_of(shape: Sequence[int], dtype: torch.dtype, kept: Dtype) -> int:
    """Bytes of one row."""
    own = HEAD if dtype.is_floating_point and kept == "uint8" else 0
    return own + prod(shape) * kept_type(dtype, kept).itemsize


def quantised(values: Tensor) -> Tensor:
    """float32 (b, d) to uint8 (b, HEAD + d): 256 even steps from each row's smallest to its largest value."""
    low, high = values.aminmax(dim=1, keepdim=True)
    step = (high - low) / 255
    steps = ((values - low) / torch.where(step > 0, step, 1.0)).round_().to(torch.uint8)
    return torch.cat([torch.cat([low, step], dim=1).view(torch.uint8), steps], dim=1)


def restored(rows: Tensor) -> Tensor:
    """What `quantised` made, to half a step."""
    low, step = rows[:, :HEAD].contiguous().view(torch.float32).split(1, dim=1)
    return low + rows[:, HEAD:] * step
