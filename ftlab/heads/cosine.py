"""A classifier on the angle between features and classes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ftlab.errors import UserError
from ftlab.heads.settings import check_dropout
from ftlab.heads.vector import VectorHead


class Cosine(VectorHead):
    """scale * cosine(features, class weights), with a learnable scale; made for few samples a class.

    Source: Gidaris and Komodakis, Dynamic Few-Shot Visual Learning without Forgetting, CVPR 2018, equation 3.
    """

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        default_pool: str,
        *,
        pool: str = "auto",
        dropout: float = 0.0,
        scale: float = 10.0,
    ) -> None:
        """`scale` is the start of the learnable scale: outputs lie between -scale and scale.

        Raises: UserError for an unknown pooling, a dropout that is no probability or a scale that is not positive.
        """
        super().__init__(pool, default_pool)
        if scale <= 0:
            raise UserError(f"head.scale={scale}: must be above 0.")
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = CosineLayer(num_features, num_outputs, scale)

    def outputs(self, vector: Tensor) -> Tensor:
        return self.fc(self.dropout(vector))


class CosineLayer(nn.Module):
    def __init__(self, num_features: int, num_outputs: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_outputs, num_features))
        nn.init.normal_(self.weight)  # directions spread evenly over the sphere
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, vector: Tensor) -> Tensor:
        """(b, d) to (b, k)."""
        cosine = functional.linear(functional.normalize(vector, dim=-1), functional.normalize(self.weight, dim=-1))
        return self.scale * cosine
