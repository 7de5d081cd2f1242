"""A backbone under a head, and their stages in order.

Shapes: b batch, k outputs.
"""

from torch import Tensor, nn

from ftlab.backbones.base import Backbone, Stage
from ftlab.data.base import Batch
from ftlab.heads.base import Head


class Model(nn.Module):
    """The network that trains; its stages are addressed as part/name: backbone/blocks.3, head/fc."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        """Raw outputs (b, k)."""
        return self.head(self.backbone(batch), batch)

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
