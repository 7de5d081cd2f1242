"""What is explained: the raw output of a network for one class, label or number.

Shapes: b batch, c channels, h and w height and width of a map, t tokens, k outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.batch import Batch
from ftlab.errors import UserError, choices
from ftlab.predictor import Predictor


class Scores(nn.Module):
    """From the fields of a batch, in their order, to raw outputs (b, k)."""

    def __init__(self, predictor: Predictor) -> None:
        """Raises: UserError for a task that does not answer each input by one of its outputs."""
        super().__init__()
        self.model, self.task, self.predictor = predictor.model, predictor.task, predictor
        target = self.task.spec.target
        self.names: tuple[str, ...] = target.classes or getattr(target, "names", ())
        self.of_classes = bool(target.classes)
        if not self.names or target.follows or target.hides:
            raise UserError(f"task={self.task.name}: is not explained yet; accepted: tasks of classes, labels, numbers")
        self.fields = list(predictor.preprocessing.blank())
        self.maps = nn.Identity()  # what the head gets of an image, where it lies in maps (b, c, h, w)

    def forward(self, *inputs: Tensor) -> Tensor:
        fields = dict(zip(self.fields, inputs, strict=True))
        index = torch.zeros(len(inputs[0]), dtype=torch.long, device=inputs[0].device)
        batch = Batch(None, index, fields)
        features = self.model.features(batch)
        if "images" in fields:
            features = self._seen(features, fields["images"].shape[-2] / fields["images"].shape[-1])
        found: Tensor = self.model.head(features, batch)
        return found

    def _seen(self, features: Features, ratio: float) -> Features:
        """The features as they are, once they have gone through `maps`. ratio: of height to width."""
        if features.maps is not None:
            return replace(features, maps=self.maps(features.maps))
        if features.tokens is None:
            return features
        rest, places = features.tokens.split(
            [features.prefix_tokens, features.tokens.shape[1] - features.prefix_tokens], dim=1
        )
        height = round(math.sqrt(places.shape[1] * ratio))
        if height * (places.shape[1] // max(1, height)) != places.shape[1]:
            return features  # tokens that are in no grid
        grid = self.maps(places.transpose(1, 2).unflatten(2, (height, -1)))
        return replace(features, tokens=torch.cat([rest, grid.flatten(2).transpose(1, 2)], dim=1))

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def inputs(self, several: Sequence[Any]) -> tuple[Tensor, ...]:
        """Of prepared inputs, what `forward` takes."""
        fields, _ = self.predictor.stacked(several)
        return tuple(fields[name].to(self.device) for name in self.fields)

    def chosen(self, asked: str | None, predictions: Tensor) -> int:
        """Which of the names is explained of an input: the one that was asked for, or its most probable class, or the
        first number. predictions: of the input alone. Raises: UserError for a name that there is not."""
        if asked is not None:
            if asked not in self.names:
                raise UserError(
                    f"target={asked}: there is no such class, label or number; {choices(asked, self.names)}"
                )
            return self.names.index(asked)
        return int(predictions.flatten().argmax()) if self.of_classes else 0

    def output(self, place: int) -> int:
        """The output that stands for a name: of several that a loss has for one number the main one."""
        each = self.task.num_outputs // len(self.names)
        main: int = getattr(self.task, "main", 0)
        return place * each + (main if each > 1 else 0)
