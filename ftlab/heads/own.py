"""The classifier that the network's own library puts on it, such as the pooler and the linear layer of a bert.

Shapes: b batch, t tokens, c channels, k outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.batch import Batch
from ftlab.heads.base import Head
from ftlab.heads.words import names_in_library


class Own(Head):
    """So a bundle is a model of that library, and a network that was trained as a classifier keeps what it has."""

    def __init__(
        self,
        layers: Callable[..., nn.Module],
        gap: int | None,
        num_outputs: int,
        *,
        own: str = "sequence_classification",
    ) -> None:
        """layers: Backbone.own_layers; gap is not read. Raises: UserError where the library has none for it."""
        super().__init__()
        self.layers: Any = layers(own, num_labels=num_outputs)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k)."""
        return self.layers(features.tokens, features.mask)  # type: ignore[no-any-return]

    def library_names(self) -> Mapping[str, str]:
        return names_in_library(self)

    def in_library(self, network: nn.Module) -> nn.Module:
        return self.layers.with_network(network)  # type: ignore[no-any-return]
