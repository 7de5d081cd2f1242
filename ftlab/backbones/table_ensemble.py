"""An ensemble of small networks for rows of a table, which share nearly all of their weights.

Shapes: b batch, d numbers of a row, m columns of categories, n pieces of a number's range, e width of its embedding,
w width of the hidden layers, k members, x inputs: d + the widths of the categories' codes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Backbone, Features
from ftlab.backbones.stages import listed_stages
from ftlab.backbones.table import code_widths, coded, codes, rows_of, within
from ftlab.batch import Batch


class TableEnsemble(Backbone):
    """Gives one vector, the inputs beside the mean of the members' last hidden layers; each member learns by itself.

    Sources: an ensemble in one network, whose members differ by factors on inputs and outputs of each layer: Wen et al.
    2020, "BatchEnsemble", and Gorishniy et al. 2025, "TabM", whose members begin apart by signs on their inputs and
    whose losses are taken apart; here the factors behind the last hidden layer stand for heads of their own, so that
    the one linear head on the mean of the features gives the mean of the members. Numbers in pieces: Gorishniy et al.
    2022, "On Embeddings for Numerical Features" (piecewise linear, on quantiles), which begin as lines. Inputs beside
    the hidden layers: Cheng et al. 2016, "Wide & Deep Learning".
    """

    takes = name = "table"
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
        members: int = 8,
        pieces: int = 16,
        embedding: int = 8,
        dropout: float = 0.1,
        pretrained: bool = False,
        weights: str | None = None,
        allow_missing: bool = False,
        meta: bool = False,
    ) -> None:
        """numbers: d; categories: ids of each of the m columns; the data tells both. `meta` is for large networks.

        Raises: UserError for settings out of range, pretrained=true, and weights that cannot be read or do not fit.
        """
        super().__init__()
        within(width=(width, 1, 8192), depth=(depth, 1, 64), members=(members, 1, 256))
        within(pieces=(pieces, 1, 256), embedding=(embedding, 1, 256))
        self.model = Members(numbers, categories, width, depth, members, pieces, embedding, dropout)
        self.loaded = weights_of.of_earlier_run(self.model, self.name, pretrained, weights, allow_missing)
        self.num_features, self.chance = self.model.inputs + width, width
        hidden = {f"hidden{number}": [f"hidden{number}"] for number in range(1, depth + 1)}
        self.stages = listed_stages(self.model, {"embedding": ["embedding"], **hidden}, "model")

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The fields "vectors" (b, d), "ranks" (b, d) and "categories" (b, m)."""
        return rows_of(batch, "vectors", "ranks", "categories")

    def features(self, output: Tensor) -> Features:
        return Features(vector=output.mean(1), members=output)


class Members(nn.Module):
    """(b, d), (b, d) and (b, m) to (b, k, x + w)."""

    def __init__(
        self,
        numbers: int,
        categories: Sequence[int],
        width: int,
        depth: int,
        members: int,
        pieces: int,
        embedding: int,
        dropout: float,
    ) -> None:
        super().__init__()
        widths = code_widths(categories)
        self.inputs, self.depth, self.members = numbers + sum(widths), depth, members
        self.embedding = nn.ModuleDict({"tables": codes(categories, widths)})
        if numbers:
            self.embedding["numbers"] = Pieces(numbers, pieces, embedding)
        read = numbers * embedding + sum(widths)
        for number in range(1, depth + 1):
            self.add_module(f"hidden{number}", Hidden(read if number == 1 else width, width, members, dropout))
        first: Any = self.hidden1
        with torch.no_grad():  # which sets the members apart
            first.into.copy_(torch.randint(2, first.into.shape) * 2.0 - 1.0 if members > 1 else 1.0)

    def forward(self, vectors: Tensor, ranks: Tensor, categories: Tensor) -> Tensor:
        known = coded(self.embedding["tables"], categories)
        inputs = torch.cat([vectors, *known], dim=1)
        numbers = [self.embedding["numbers"](vectors, ranks)] if "numbers" in self.embedding else []
        hidden = torch.cat([*numbers, *known], dim=1).unsqueeze(1)
        for number in range(1, self.depth + 1):
            hidden = self.get_submodule(f"hidden{number}")(hidden)
        return torch.cat([inputs.unsqueeze(1).expand(-1, self.members, -1), hidden], dim=2)


class Pieces(nn.Module):
    """(b, d) numbers and (b, d) ranks to (b, d * e): a line of each number, and a bend at each piece of its range."""

    def __init__(self, numbers: int, pieces: int, embedding: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.empty(numbers, embedding).uniform_(-1, 1))
        self.shift = nn.Parameter(torch.empty(numbers, embedding).uniform_(-1, 1))
        self.bends = nn.Parameter(torch.zeros(numbers, pieces, embedding))
        self.register_buffer("starts", torch.arange(pieces, dtype=torch.float32), persistent=False)

    def forward(self, vectors: Tensor, ranks: Tensor) -> Tensor:
        starts: Any = self.starts
        filled = (ranks.unsqueeze(2) * self.bends.shape[1] - starts).clamp(0.0, 1.0)
        bent = torch.einsum("bdn,dne->bde", filled, self.bends)
        return torch.flatten(vectors.unsqueeze(2) * self.slope + self.shift + bent, 1)


class Hidden(nn.Module):
    """(b, k, i) to (b, k, w): one weight for all members between factors of each."""

    def __init__(self, inputs: int, width: int, members: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Linear(inputs, width, bias=False).weight
        self.into = nn.Parameter(torch.ones(members, inputs))
        self.out = nn.Parameter(torch.ones(members, width))
        self.bias = nn.Parameter(torch.empty(members, width).uniform_(-(inputs**-0.5), inputs**-0.5))
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        outputs = functional.linear(values * self.into, self.weight)
        return self.dropout(functional.relu(torch.addcmul(self.bias, outputs, self.out)))
