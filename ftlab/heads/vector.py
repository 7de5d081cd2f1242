"""What heads have in common that learn from one vector a sample.

Shapes: b batch, d features, k outputs.
"""

from abc import abstractmethod

from torch import Tensor

from ftlab.backbones.base import Features
from ftlab.backbones.pooling import check_pool, pool
from ftlab.batch import Batch
from ftlab.heads.base import Head


class VectorHead(Head):
    """Pools, and learns from nothing else: a cache behind a frozen backbone keeps the pooled vector only."""

    def __init__(self, how: str, own: str) -> None:
        """how: head.pool; own: the backbone's own pooling. Raises: UserError for an unknown pooling."""
        super().__init__()
        self.pool, self.own_pool = check_pool(how), own

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k)."""
        return self.outputs(self.pooled(features))

    def pooled(self, features: Features) -> Tensor:
        """(b, d); no parameter of the head is used."""
        return features.pooled if features.pooled is not None else pool(features, self.pool, self.own_pool)

    @abstractmethod
    def outputs(self, vector: Tensor) -> Tensor:
        """(b, d) to (b, k)."""
