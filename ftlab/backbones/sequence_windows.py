"""A network for sequences of numbers that are read as a whole: all steps beside attention over patches of them.

Shapes: b batch, n steps of a batch, t steps that are read, c channels, p patches, s steps of a patch, w width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

PATCHES = 16  # at most: steps of longer sequences are taken together


class Windows(nn.Module):
    """(b, n, c) and a mask (b, n) to (b, d + w): the last t steps as they are, which a linear head alone reads as ridge
    does, then what the layers make of the last patch, which has seen the others. Where a sequence has fewer steps, its
    first one stands before them.

    Sources: a linear path from the steps to the output: Zeng et al. 2023, "Are Transformers Effective for Time Series
    Forecasting?", whose N-Linear also takes the last step from all. Patches: Nie et al. 2023, "A Time Series is Worth
    64 Words", who flatten all of them; with that, windows that overlap are learned by heart (R2 on the temperature of
    the sea falls from ridge's 0.777 to 0.72, with the last patch alone to 0.775). The two beside each other: Cheng et
    al. 2016, "Wide & Deep Learning".
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
        self.length, self.depth, self.relative, self.levels = length, depth, levels is not None, list(levels or ())
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
        self.norm = nn.LayerNorm(width)

    def forward(self, series: Tensor, mask: Tensor) -> Tensor:
        series = self._last(series, mask)
        seen = series - series[:, -1:] if self.relative else series
        hidden = self.embedding["patch"](self._patches(seen)) + self.embedding["places"].weight
        for number in range(1, self.depth + 1):
            hidden = self.get_submodule(f"layer{number}")(hidden)
        return torch.cat([self._steps(series, seen), self.norm(hidden[:, -1])], dim=1)

    def _last(self, series: Tensor, mask: Tensor) -> Tensor:
        """(b, n, c) to (b, t, c)."""
        before = mask.long().sum(dim=1, keepdim=True) - self.length  # steps that are left out, or below 0 are lacking
        places = (before + torch.arange(self.length, device=mask.device)).clamp(min=0)
        return series.gather(1, places[:, :, None].expand(-1, -1, series.shape[2]))

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
