"""One linear layer on the pooled features."""

from torch import Tensor, nn

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

    def outputs(self, vector: Tensor) -> Tensor:
        return self.fc(self.dropout(vector))
