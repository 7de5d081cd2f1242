"""A backbone under a head, and their stages in order.

Shapes: b batch, k outputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ftlab.backbones.base import Backbone, Features, Stage
from ftlab.backbones.pooling import NO_ONE_SIZE, as_positions
from ftlab.backbones.surgery import probe
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.inputs.base import InputPreprocessing


def width_of(backbone: Backbone, head: Mapping[str, Any], preprocessing: InputPreprocessing) -> int:
    """What a head with these settings gets of each sample, once it has pooled or flattened.

    Raises: UserError for flatten of inputs that are not of one length.
    """
    if head.get("pool") == "flatten" and not preprocessing.one_size:
        raise UserError(f"head.pool=flatten: {NO_ONE_SIZE}")
    if head.get("pool") != "flatten":
        return backbone.num_features
    features = probe(backbone, preprocessing)
    if features.vector is not None:
        return backbone.num_features  # pool refuses it with a better text
    return as_positions(features).shape[1] * backbone.num_features


class Model(nn.Module):
    """The network that trains; its stages are addressed as part/name: backbone/blocks.3, head/fc."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.rest: Callable[[Batch], Features] | None = None  # what goes on from the values at a freeze border

    def features(self, batch: Batch) -> Features:
        """What the head gets, of inputs or of the values at the freeze border that `rest` goes on from."""
        if batch.border is not None and self.rest is not None:
            return self.rest(batch)
        found: Features = self.backbone(batch)
        return found

    def forward(self, batch: Batch) -> Any:
        """Raw outputs."""
        return self.head(self.features(batch), batch)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, input end first; their parameters are named as in named_parameters()."""
        parts: dict[str, Backbone | Head] = {"backbone": self.backbone, "head": self.head}
        return tuple(
            Stage(f"{part}/{stage.name}", tuple(f"{part}.{name}" for name in stage.parameters))
            for part, module in parts.items()
            for stage in module.stages
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    def sizes(self) -> dict[str, int]:
        """Parameters of each stage."""
        count = {name: p.numel() for name, p in self.named_parameters()}
        return {stage.name: sum(count[name] for name in stage.parameters) for stage in self.stages}

    def layers(self) -> list[tuple[str, Stage]]:
        """Every module with parameters of its own as part/layer with these, and the address of its stage.

        Returns: (address of the stage, Stage(part/layer, its own parameters)), in the order of the modules.
        """
        stage_of = {name: stage.name for stage in self.stages for name in stage.parameters}
        found = []
        for path, module in self.named_modules():
            own = tuple(f"{path}.{name}" for name, _ in module.named_parameters(recurse=False))
            if own:
                part, _, rest = path.partition(".")
                found.append((stage_of[own[0]], Stage(f"{part}/{rest.removeprefix('model.')}", own)))
        return found
