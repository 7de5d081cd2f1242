"""A trained network as one function of tensors, which runs where ftlab is not.

Shapes: b batch, c channels, h height, w width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.batch import Batch, Fields
from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing
from ftlab.predictor import Predictor

PIXELS = "pixels"  # float32 (b, 3, h, w), 0 to 255, of images as they are resized and cut; in place of "images"
IMAGES = "images"


class Ports:
    """What goes into the file of a network: the fields of a batch, in their order, images as pixels."""

    def __init__(self, preprocessing: InputPreprocessing) -> None:
        blank, stored = preprocessing.blank(), preprocessing.stored()
        self.fields = list(blank)
        self.pixels = preprocessing.pixels and IMAGES in blank
        self.mean, self.std = (
            torch.tensor(stored.get(name) or (0.0,)).view(-1, 1, 1) * 255 for name in ("mean", "std")
        )

    @property
    def names(self) -> list[str]:
        """What its inputs are called."""
        return [PIXELS if self.pixels and name == IMAGES else name for name in self.fields]

    def inputs(self, fields: Fields) -> tuple[Tensor, ...]:
        """What goes in, of preprocessed inputs (b, ...)."""
        whole = {**fields, IMAGES: fields[IMAGES] * self.std + self.mean} if self.pixels else fields
        return tuple(whole[name] for name in self.fields)


class Portable(nn.Module):
    """From the fields of a batch, in the order of `names`, to what Task.predictions says of them."""

    mean: Tensor
    std: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model, self.task = predictor.model.cpu(), predictor.task.cpu()
        self.ports = Ports(predictor.preprocessing)
        self.fields, self.pixels = self.ports.fields, self.ports.pixels
        self.names, self.inputs = self.ports.names, self.ports.inputs
        self.register_buffer("mean", self.ports.mean)
        self.register_buffer("std", self.ports.std)

    def forward(self, *inputs: Tensor) -> Tensor:
        fields = dict(zip(self.fields, inputs, strict=True))
        if self.pixels:
            fields[IMAGES] = (fields[IMAGES] - self.mean) / self.std
        index = torch.zeros(inputs[0].shape[0], dtype=torch.long)  # not len(): a number would be that of the example
        return self.task.calibrated(self.task.predictions(self.model(Batch(None, index, fields))))  # type: ignore[no-any-return]


def portable(predictor: Predictor) -> Portable:
    """Raises: UserError for a task whose answers are no single tensor."""
    found = Portable(predictor).eval().requires_grad_(False)  # members of an ensemble answer apart while they learn
    with torch.inference_mode():
        answers: Any = found(*found.inputs(predictor.preprocessing.stack([predictor.preprocessing.blank()] * 2)))
    if not isinstance(answers, Tensor):
        raise UserError(
            f"task={predictor.task.name}: its answers are no single tensor of numbers, so it cannot be exported yet; "
            "accepted: classification, multilabel, regression"
        )
    return found


def traced(network: Portable, inputs: Sequence[Tensor], one_size: bool) -> torch.export.ExportedProgram:
    """The network for any number of samples, and of positions where not all inputs have as many.

    Raises: UserError with what torch.export says of a network that it cannot follow.
    """
    free = torch.export.Dim.DYNAMIC
    shapes = tuple({0: free} if one_size else {0: free, 1: free} for _ in inputs)
    try:
        return torch.export.export(network, tuple(inputs), dynamic_shapes=(shapes,))
    except Exception as error:
        raise UserError(f"this network cannot be exported: torch.export says: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
