"""One linear layer on the pooled features.

Shapes: b batch, m members of an ensemble, k outputs.
"""

from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.batch import Batch
from ftlab.heads.settings import check_dropout
from ftlab.heads.vector import VectorHead


class Linear(VectorHead):
    """Pooling, dropout, linear layer `fc`: what timm's own classifiers are."""

    def __init__(
        self, num_features: int, num_outputs: int, default_pool: str, *, pool: str = "auto", dropout: float = 0.0
    ) -> None:
        """Raises: UserError for an unknown pooling or a dropout that is no probability."""
        super().__init__(pool, default_pool)
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(num_features, num_outputs)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k), of the mean of the members: the mean of their outputs. (b * m, k) while the members train."""
        members = features.members
        if members is None or not members.requires_grad:
            return super().forward(features, batch)
        return self.outputs(members.flatten(0, 1))

    def outputs(self, vector: Tensor) -> Tensor:
        return self.fc(self.dropout(vector))
