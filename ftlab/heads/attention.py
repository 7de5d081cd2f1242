"""A linear layer on a mean of all positions that the head has learned to weigh.

Shapes: b batch, t positions, c channels, k outputs.
"""

from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.backbones.pooling import as_positions
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.heads.settings import check_dropout


class Attention(Head):
    """Each position's score is query * tanh(layer(position)); the weights are their softmax. It begins as the mean.

    Source: Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", equations 5 to 7.
    """

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        default_pool: str,
        *,
        width: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        """width: of the layer; None: as wide as the features. Raises: UserError for a dropout out of range."""
        super().__init__()
        layer, query = nn.Linear(num_features, width or num_features), nn.Linear(width or num_features, 1, bias=False)
        nn.init.zeros_(query.weight)
        self.attend = nn.Sequential(layer, nn.Tanh(), query)
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(num_features, num_outputs)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """(b, k). Raises: UserError for a backbone that has pooled already."""
        if features.vector is not None:
            raise UserError("head=attention: this backbone pools by itself and gives one vector; use head=linear")
        positions = as_positions(features)
        return self.fc(self.dropout(features.neck(self.pooled(positions, features.mask))))  # type: ignore[no-any-return]

    def pooled(self, positions: Tensor, mask: Tensor | None) -> Tensor:
        """(b, t, c) to (b, c), over the positions where mask (b, t) is True."""
        scores = self.attend(positions)[..., 0]
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return (scores.softmax(1)[:, None] @ positions)[:, 0]
