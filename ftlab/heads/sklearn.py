"""A learner of scikit-learn on the pooled features of a backbone that stays frozen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from ftlab.backbones.base import Stage
from ftlab.heads.estimator import Estimator
from ftlab.heads.vector import VectorHead

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


class Sklearn(VectorHead):
    """Pooling, then the learner `fc`, which is fitted to the features of all training samples at once."""

    follows_gradients = False

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        default_pool: str,
        *,
        pool: str = "auto",
        estimator: str = "svc",
        settings: Mapping[str, Any] = NO_SETTINGS,
    ) -> None:
        """Raises: UserError for a pooling, a learner or a setting that does not exist."""
        super().__init__(pool, default_pool)
        self.fc = Estimator(num_features, num_outputs, estimator, settings)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (Stage("fc", ()),)

    @property
    def last_layer(self) -> nn.Module | None:
        return self.fc

    def outputs(self, vector: Tensor) -> Tensor:
        return self.fc(vector)
