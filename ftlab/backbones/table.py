"""A network for rows of a table: numbers beside embeddings of the categories, and hidden layers over them.

Shapes: b batch, d numbers of a row, m columns of categories, w width, x = d + the embeddings' widths.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Backbone, Features
from ftlab.backbones.stages import listed_stages
from ftlab.batch import Batch
from ftlab.errors import UserError, choices

NORMS = ("none", "layer")
# Of the hidden layers' output at the start, beside inputs of deviation 1: the closed-form head then begins near a
# linear model of the inputs.
FIRST_GAIN = 0.1


class TableBackbone(Backbone):
    """Gives one vector, the inputs beside the last hidden layer: a linear model of the inputs is always within reach.

    Source: the width and the depth apart, the "wide and deep" network of Cheng et al. 2016 (arXiv:1606.07792).
    """

    takes, name = "table", "table_mlp"
    default_pool = "average"
    preprocessing = None
    passes_inputs = True
    rate = 2.0  # a closed form of the inputs stays as it is while what is beside it has all to learn

    def __init__(
        self,
        numbers: int,
        categories: Sequence[int],
        width: int = 64,
        depth: int = 2,
        embedding: int = 16,
        dropout: float = 0.0,
        norm: str = "none",
        pretrained: bool = False,
        weights: str | None = None,
        allow_missing: bool = False,
        meta: bool = False,
    ) -> None:
        """numbers: d; categories: ids of each of the m columns; the data tells both. `meta` is for large networks.

        Raises: UserError for settings out of range, pretrained=true, and weights that cannot be read or do not fit.
        """
        super().__init__()
        _check(width, depth, embedding, norm)
        self.model = TableNetwork(numbers, categories, width, depth, embedding, dropout, norm)
        self.loaded = weights_of.of_earlier_run(self.model, self.name, pretrained, weights, allow_missing)
        self.num_features, self.chance = self.model.inputs + width, width
        hidden = {f"hidden{number}": [f"hidden{number}"] for number in range(1, depth + 1)}
        self.stages = listed_stages(self.model, {"embedding": ["embedding"], **hidden}, "model")

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The fields "vectors" (b, d) and "categories" (b, m)."""
        return rows_of(batch, "vectors", "categories")

    def features(self, output: Tensor) -> Features:
        return Features(vector=output)


class TableNetwork(nn.Module):
    """(b, d) and (b, m) to (b, x + w)."""

    def __init__(
        self, numbers: int, categories: Sequence[int], width: int, depth: int, embedding: int, dropout: float, norm: str
    ) -> None:
        super().__init__()
        widths = code_widths(categories, embedding)
        self.inputs = numbers + sum(widths)
        self.depth = depth
        tables = codes(categories, widths)
        self.embedding = nn.ModuleDict({"tables": tables, "input": nn.Linear(self.inputs, width)})
        for number in range(1, depth + 1):
            self.add_module(f"hidden{number}", _layer(width, dropout, norm))
        with torch.no_grad():
            last: Any = self.get_submodule(f"hidden{depth}.linear" if depth else "embedding.input")
            last.weight.mul_(FIRST_GAIN), last.bias.mul_(FIRST_GAIN)

    def forward(self, vectors: Tensor, categories: Tensor) -> Tensor:
        inputs = torch.cat([vectors, *coded(self.embedding["tables"], categories)], dim=1)
        hidden = self.embedding["input"](inputs)
        for number in range(1, self.depth + 1):
            hidden = self.get_submodule(f"hidden{number}")(hidden)
        return torch.cat([inputs, hidden], dim=1)


def rows_of(batch: Batch, *fields: str) -> tuple[Tensor, ...]:
    """Raises: UserError for a batch of something else."""
    if not batch.inputs.keys() >= {*fields}:
        raise UserError("The backbone 'table' takes rows of a table, and the batch holds none.")
    return tuple(batch.inputs[field] for field in fields)


def code_widths(categories: Sequence[int], most: int = 16) -> list[int]:
    """Numbers that stand for a category of each column: no more than it has ids."""
    return [min(most, ids) for ids in categories]


def codes(categories: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(_table(ids, width) for ids, width in zip(categories, widths, strict=True))


def coded(tables: Any, categories: Tensor) -> list[Tensor]:
    """(b, m) ids to m codes (b, width)."""
    return [table(categories[:, place]) for place, table in enumerate(tables)]


def _table(ids: int, width: int) -> nn.Embedding:
    """Codes at right angles, which a linear model can tell apart; that of unknown categories begins at 0."""
    table = nn.Embedding(ids, width)
    nn.init.orthogonal_(table.weight, gain=width**0.5)
    with torch.no_grad():
        table.weight[0] = 0.0
    return table


def _layer(width: int, dropout: float, norm: str) -> nn.Sequential:
    layer = nn.Sequential()
    if norm == "layer":
        layer.add_module("norm", nn.LayerNorm(width))
    layer.add_module("activation", nn.ReLU())
    layer.add_module("dropout", nn.Dropout(dropout))
    layer.add_module("linear", nn.Linear(width, width))
    return layer


def _check(width: int, depth: int, embedding: int, norm: str) -> None:
    within(width=(width, 1, 8192), depth=(depth, 0, 64), embedding=(embedding, 1, 1024))
    if norm not in NORMS:
        raise UserError(f"backbone.norm={norm} is unknown; {choices(norm, NORMS)}")


def within(**settings: tuple[int, int, int]) -> None:
    """Each a value, the least and the most; also of a bundle of somebody else's, which could ask for too much memory.

    Raises: UserError for one out of range.
    """
    for name, (value, low, high) in settings.items():
        if not low <= value <= high:
            raise UserError(f"backbone.{name}={value}: accepted is {low} to {high}.")
