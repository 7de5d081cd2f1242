"""A network for sequences of numbers that all have as many steps: all of them beside attention over patches.

Shapes: b batch, t steps, c channels, p patches, s steps of a patch, w width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCHES = 16  # at most: steps of longer sequences are taken together


class Windows(nn.Module):
    """(b, t, c) to (b, d + w): all steps as they are, which a linear head alone reads as ridge does, then what the
    layers make of them.

    Sources: a linear path from the steps to the output: Zeng et al. 2023, "Are Transformers Effective for Time Series
    Forecasting?", whose N-Linear also takes the last step from all; patches, and all of them flattened at the end: Nie
    et al. 2023, "A Time Series is Worth 64 Words"; the two beside each other: Cheng et al. 2016, "Wide & Deep".
    """

    def __init__(
        self,
        length: int,
        channels: int,
        levels: Sequence[int] | None,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        """length: t; levels: None: steps are taken as they are; else relative to the last one, beside which only the
        last values of these channels are given."""
        super().__init__()
        self.depth, self.relative, self.levels = depth, levels is not None, list(levels or ())
        self.size = -(-length // PATCHES)
        self.patches = -(-length // self.size)
        self.filler = self.patches * self.size - length
        self.wide = (length - 1) * channels + len(self.levels) if self.relative else length * channels
        self.embedding = nn.ModuleDict(
            {"patch": nn.Linear(self.size * channels, width), "places": nn.Embedding(self.patches, width)}
        )
        nn.init.normal_(self.get_submodule("embedding.places").weight, std=0.02)  # type: ignore[arg-type]
        for number in range(1, depth + 1):
            layer = nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            self.add_module(f"layer{number}", layer)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.joined = nn.Linear(self.patches * width, width)

    def forward(self, series: Tensor) -> Tensor:
        seen = series - series[:, -1:] if self.relative else series
        hidden = self.embedding["patch"](self._patches(seen)) + self.embedding["places"].weight
        for number in range(1, self.depth + 1):
            hidden = self.get_submodule(f"layer{number}")(hidden)
        hidden = self.joined(self.dropout(self.norm(hidden).flatten(1)))
        return torch.cat([self._steps(series, seen), functional.gelu(hidden)], dim=1)

    def _patches(self, seen: Tensor) -> Tensor:
        """(b, t, c) to (b, p, s * c); where steps are too few, the first one is there again before them."""
        if self.filler:
            seen = torch.cat([seen[:, :1].expand(-1, self.filler, -1), seen], dim=1)
        return seen.unflatten(1, (self.patches, self.size)).flatten(2)

    def _steps(self, series: Tensor, seen: Tensor) -> Tensor:
        """(b, d)."""
        if not self.relative:
            return series.flatten(1)
        return torch.cat([seen[:, :-1].flatten(1), series[:, -1, self.levels]], dim=1)
