"""The last layers of a network that detects as a whole, see backbones/detectors/."""

from typing import Any, ClassVar

from ftlab.backbones.base import Backbone, Features
from ftlab.backbones.detectors.base import Detector as WholeDetector
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.heads.dense.boxes import extent


class Detector(Head):
    """Owns nothing: its stages are the layers that say the class, which are new and lie in the network."""

    gives: ClassVar[str] = "boxes"
    inside: ClassVar[bool] = True

    def __init__(self, backbone: Backbone, num_outputs: int) -> None:
        """Raises: UserError for a network that is no whole detector."""
        super().__init__()
        if not isinstance(backbone, WholeDetector):
            raise UserError(
                f"head=detector: the backbone '{backbone.name}' is no whole detector; use head=fcos, or "
                "backbone=torchvision_detector"
            )
        self.network = [backbone]  # in a list: its parameters are the backbone's
        backbone.renew(num_outputs)

    def forward(self, features: Features, batch: Batch) -> Any:
        sizes, size = extent(batch)
        return self.network[0].answer(features.levels, sizes, size, batch.targets)
