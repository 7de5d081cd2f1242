"""The network's own layer over its vocabulary: which token belongs where one is hidden?

Shapes: b batch, t tokens, c channels, v tokens of the vocabulary, m tokens that are asked for, of all texts.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.inputs.base import SEEN


class WordOutputs(NamedTuple):
    """Only of the tokens that are asked for: of all of them the logits would take gigabytes."""

    logits: Tensor  # (m, v)
    counts: Tensor  # (b,) int64, how many are asked for of each text
    truth: Tensor | None  # (m,) int64; None in a prediction


class Words(Head):
    gives = "words"

    def __init__(
        self,
        layers: Callable[..., nn.Module],
        gap: int | None,
        num_outputs: int,
        *,
        own: str = "masked_language",
        tied: bool | Literal["auto"] = "auto",
    ) -> None:
        """layers: Backbone.own_layers; gap: the token that stands for a hidden one.

        Raises: UserError for a network that fills no masks.
        """
        super().__init__()
        if gap is None:
            raise UserError("head=words: the network's tokenizer has no mask token; it was not trained to fill masks")
        self.gap = gap
        self.layers: Any = layers(own, tied=None if tied == "auto" else tied)

    def forward(self, features: Features, batch: Batch) -> WordOutputs:
        """In a prediction, the mask tokens of the text itself are asked for."""
        asked = batch.inputs["tokens"] == self.gap if batch.targets is None else batch.targets != SEEN
        assert features.tokens is not None
        if asked.is_meta:  # without values nothing can be chosen, and shapes are all that is wanted
            logits = self.layers(features.tokens).flatten(0, 1)
            return WordOutputs(logits, asked.sum(1), None if batch.targets is None else batch.targets.flatten())
        logits = self.layers(features.tokens[asked][None])[0]
        return WordOutputs(logits, asked.sum(1), None if batch.targets is None else batch.targets[asked])

    def library_names(self) -> Mapping[str, str]:
        return names_in_library(self)

    def in_library(self, network: nn.Module) -> nn.Module:
        return self.layers.with_network(network)  # type: ignore[no-any-return]


def names_in_library(head: Head) -> dict[str, str]:
    """Head.library_names of one whose `layers` are those of backbones.text_layers, and nothing else."""
    return {name: name.removeprefix("layers.whole.") for name in head.state_dict()}
