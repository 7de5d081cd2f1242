"""One linear layer on the pooled features."""

from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.data.base import Batch
from ftlab.heads.base import Head
from ftlab.heads.pooling import check_pool, pool
from ftlab.heads.settings import check_dropout


class Linear(Head):
    """Pooling, dropout, linear layer `fc`: what timm's own classifiers are."""

    def __init__(
        self, num_features: int, num_outputs: int, default_pool: str, *, pool: str = "auto", dropout: float = 0.0
    ) -> None:
        """Raises: UserError for an unknown pooling or a dropout that is no probability."""
        super().__init__()
        self.pool, self.own_pool = check_pool(pool), default_pool
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(num_features, num_outputs)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k)."""
        return self.fc(self.dropout(pool(features, self.pool, self.own_pool)))
