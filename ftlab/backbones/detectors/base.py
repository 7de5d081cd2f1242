"""What a network is that detects as a whole: it brings its own last layers, its own loss and its own way to boxes.

The maps up to its feature pyramid are what other backbones call features, and can be cut at the freeze border. What
follows them stays in the network too; of it only the layers that say the class are new, and are addressed as head/...

Shapes: b batch, c channels, h height, w width.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import pad

from ftlab.backbones.base import Backbone, Features, Level
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.targets.ragged import Ragged


class Detector(Backbone):
    """`model` is the library's network with the library's names; head=detector is built upon it."""

    divisor: int = 1  # both sides of a batch are filled up to a multiple of it, as the network was trained

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The field "images" (b, 3, h, w), filled up on the right and below."""
        if "images" not in batch.inputs:
            raise UserError(f"The backbone '{self.name}' takes images, and the batch holds none.")
        images = batch.inputs["images"]
        height, width = self.filled(tuple(images.shape[-2:]))
        return (pad(images, (0, width - images.shape[-1], 0, height - images.shape[-2])),)

    def filled(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Height and width that images of `size` are filled up to."""
        height, width = (-(-side // self.divisor) * self.divisor for side in size)
        return height, width

    def features(self, output: tuple[Tensor, ...]) -> Features:
        return Features(levels=output)

    @property
    def num_features(self) -> int:  # type: ignore[override]  # of which there are none
        raise self._refusal()

    def hand_out(self, strides: Sequence[int]) -> tuple[Level, ...]:
        raise self._refusal()

    def _refusal(self) -> UserError:
        return UserError(
            f"backbone.name={self.name}: detects as a whole, and has no features for another head; use head=detector"
        )

    @abstractmethod
    def renew(self, num_classes: int) -> None:
        """Put new layers in the place of those that say the class."""

    @abstractmethod
    def answer(self, levels: tuple[Tensor, ...], sizes: Tensor, size: tuple[int, int], targets: Ragged | None) -> Any:
        """The BoxOutputs of maps that `features` gave. sizes: (b, 2) height and width of each image, and `size` those
        of the batch; targets: None in a prediction."""
