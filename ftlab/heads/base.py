"""What a head is: features to raw outputs. Heads pool, backbones never do.

Shapes: b batch, c channels, h height, w width, t tokens, k outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ftlab.backbones.base import Features, Stage
from ftlab.batch import Batch
from ftlab.errors import UserError


class Head(nn.Module, ABC):
    """Built as HeadClass(num_features, num_outputs, default_pool, **settings); one whose config has `strides`, and so
    asks for maps of several stages, as HeadClass(levels, num_outputs, **settings) with what Backbone.hand_out gave; one
    that is `inside` of its network, as HeadClass(backbone, num_outputs, **settings); one that `writes`, as
    HeadClass(backbone, preprocessing, corpus, num_outputs, **settings) with the texts of train; any other whose config
    has `own`, as HeadClass(layers, gap, num_outputs, **settings) with Backbone.own_layers and InputPreprocessing.gap.
    """

    gives: ClassVar[str] = "numbers"  # what its outputs are, for a task that reads the same: numbers | boxes | maps

    inside: ClassVar[bool] = False  # whether its layers lie in the network, which gives the outputs; see Backbone.last

    writes: ClassVar[bool] = False  # whether what it gives is texts of any length, which `answers` makes

    @abstractmethod
    def forward(self, features: Features, batch: Batch) -> Any:
        """Raw outputs, (b, k) or any tuples, lists and mappings of tensors; the batch is there for heads that need the
        targets (teacher forcing), which are None in a prediction."""

    def answers(self, features: Features, batch: Batch, how: Any) -> Any:
        """Raw outputs for whoever wants predictions, which may cost more than `forward`: here is what is generated.

        how: of Task.answering.
        """
        return self(features, batch)

    def check_answers(self, how: Any) -> None:
        """Raises: UserError where `answers` would refuse `how`, or leave part of it out."""

    def remarks(self, parts: Mapping[str, Any]) -> tuple[str, ...]:
        """What a person should know of the targets of each split, before any step."""
        return ()

    def rebuilds(self) -> dict[str, Any]:
        """Keywords of the constructor by which a bundle builds the same head without the training data; what of them is
        called `files` is kept as files."""
        return {}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage a direct child that has parameters, in order; a parameter that two share is the first one's."""
        return tuple(
            Stage(name, tuple(f"{name}.{p}" for p, _ in child.named_parameters()))
            for name, child in self.named_children()
            if any(True for _ in child.parameters())
        )

    follows_gradients = True  # False: only a convex phase fits it

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer `fc`, if it is linear and all that the head learns: then a convex phase can fit it."""
        learning = [child for child in self.children() if any(True for _ in child.parameters())]
        found = dict(self.named_children()).get("fc")
        return found if learning == [found] and isinstance(found, nn.Linear) else None

    def library_names(self) -> Mapping[str, str]:
        """What the tensors of its state are called in the model of the backbone's own library, where they are parts of
        that; a bundle keeps them under these names, so that the library reads it."""
        return {}

    def in_library(self, network: nn.Module) -> nn.Module:
        """The library's own model of the backbone's `network` with this head. Raises: UserError where it has none."""
        raise UserError(f"head={type(self).__name__.lower()}: the library of its network has no such model")

    @property
    def weight_decay(self) -> float | None:
        """A weight decay of the head's own; None: the optimizer's."""
        return None
