"""A network for sequences of tokens, of numbers, or of both: layers of attention over steps, or over parts of them.

Shapes: b batch, t steps, c channels, w width.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Backbone, Features
from ftlab.backbones.sequence_windows import Windows
from ftlab.backbones.stages import listed_stages
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.sequences.preprocessing import OWN_IDS
from ftlab.inputs.sequences.stored import LONGEST

HEAD_RATE = 0.1  # what ridge regression has found of all steps is unlearned at the layers' own rate
DROPOUT = {True: 0.3, False: 0.1}  # whether sequences are read as a whole
FIRST = 0.02  # deviation of new embeddings, beside which numbers and tokens start alike


class SequenceBackbone(Backbone):
    """Of sequences that are read as a whole one vector (sequence_windows.py); else a vector for each step."""

    takes = name = "sequence"
    default_pool = "average"
    preprocessing = None

    def __init__(
        self,
        tokens: int,
        channels: int,
        max_length: int,
        length: int | None = None,
        levels: Sequence[int] | None = None,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        dropout: float | Literal["auto"] = "auto",
        pretrained: bool = False,
        weights: str | None = None,
        allow_missing: bool = False,
        meta: bool = False,
    ) -> None:
        """tokens: ids, 0 for none; channels: c; max_length: t at most; length: steps that are read as a
        whole, None: step by step; levels: see Windows; the data tells these. `meta` is for large nets.

        Raises: UserError for settings out of range, pretrained=true, and weights that cannot be read or do not fit.
        """
        super().__init__()
        _check(width, depth, heads, max_length)
        own = (width, depth, heads, DROPOUT[length is not None] if dropout == "auto" else dropout)
        if length is None:
            self.model, self.num_features = Encoder(tokens, channels, max_length, *own), width
        else:
            self.model = Windows(length, channels, levels, *own)
            self.num_features, self.chance, self.head_rate = self.model.wide + width, width, HEAD_RATE
        self.passes_inputs = length is not None
        self.loaded = weights_of.of_earlier_run(self.model, self.name, pretrained, weights, allow_missing)
        layers = {f"layer{number}": [f"layer{number}"] for number in range(1, depth + 1)}
        layers[f"layer{depth}"] += ["norm"]
        self.stages = listed_stages(self.model, {"embedding": ["embedding"], **layers}, "model")

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The fields "tokens" (b, t), "series" (b, t, c) and "mask" (b, t)."""
        if not batch.inputs.keys() >= {"tokens", "series", "mask"}:
            raise UserError("The backbone 'sequence' takes sequences, and the batch holds none.")
        if self.passes_inputs:
            return batch.inputs["series"], batch.inputs["mask"]
        return batch.inputs["tokens"], batch.inputs["series"], batch.inputs["mask"]

    def features(self, output: Tensor | tuple[Tensor, Tensor]) -> Features:
        return Features(vector=output) if isinstance(output, Tensor) else Features(tokens=output[0], mask=output[1])


class Encoder(nn.Module):
    """(b, t), (b, t, c) and (b, t) to (b, t, w), and the mask again; steps that only fill a batch change nothing.

    Source: the encoder of Vaswani et al. 2017 (arXiv:1706.03762), norms first as in Xiong et al. 2020
    (arXiv:2002.04745), learned positions as in Devlin et al. 2018 (arXiv:1810.04805).
    """

    def __init__(
        self, tokens: int, channels: int, max_length: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.ModuleDict({"positions": _table(max_length, width)})
        if tokens:
            table = self.embedding["tokens"] = _table(tokens, width)
            with torch.no_grad():
                table.weight[:OWN_IDS] = 0.0  # padding, and unknown tokens: nothing is known of them
        if channels:
            self.embedding["series"] = nn.Linear(channels, width)
        self.depth = depth
        for number in range(1, depth + 1):
            layer = nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            self.add_module(f"layer{number}", layer)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, series: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        # Counted over real steps, not taken from the length of the batch: torch.fx traces it, wherever padding stands.
        hidden = self.embedding["positions"]((mask.long().cumsum(dim=1) - 1).clamp(min=0))
        if "tokens" in self.embedding:
            hidden = hidden + self.embedding["tokens"](tokens)
        if "series" in self.embedding:
            hidden = hidden + self.embedding["series"](series)
        padding = mask.logical_not()
        for number in range(1, self.depth + 1):
            hidden = self.get_submodule(f"layer{number}")(hidden, src_key_padding_mask=padding)
        return self.norm(hidden), mask


def _table(ids: int, width: int) -> nn.Embedding:
    table = nn.Embedding(ids, width)
    nn.init.normal_(table.weight, std=FIRST)
    return table


def _check(width: int, depth: int, heads: int, max_length: int) -> None:
    """Also of a bundle of somebody else's, which could ask for more memory than there is."""
    for name, value, low, high in (("width", width, 1, 8192), ("depth", depth, 1, 64), ("heads", heads, 1, 128)):
        if not low <= value <= high:
            raise UserError(f"backbone.{name}={value}: accepted is {low} to {high}.")
    if width % heads:
        raise UserError(f"backbone.heads={heads}: must divide backbone.width={width}.")
    if not 1 <= max_length <= LONGEST:
        raise UserError(f"data.max_length={max_length}: accepted is 1 to {LONGEST} steps.")
