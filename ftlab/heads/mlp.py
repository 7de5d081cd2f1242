"""Hidden layers and a linear layer on the pooled features."""

from collections.abc import Sequence

from torch import Tensor, nn

from ftlab.errors import UserError, choices
from ftlab.heads.settings import check_dropout
from ftlab.heads.vector import VectorHead

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


class Mlp(VectorHead):
    """Pooling, then `hidden1`, `hidden2`, ... (linear, activation, dropout), then the linear layer `fc`."""

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        default_pool: str,
        *,
        pool: str = "auto",
        hidden: Sequence[int] = (256,),
        activation: str = "relu",
        dropout: float | Sequence[float] = 0.0,
        weight_decay: float | None = None,
    ) -> None:
        """`dropout` is one probability for all hidden layers, or one for each.

        Raises: UserError for a pooling or activation that does not exist, or sizes and probabilities out of range.
        """
        super().__init__(pool, default_pool)
        widths = [num_features, *check_hidden(hidden)]
        drops = one_for_each(dropout, len(hidden))
        for number, (width, next_width, drop) in enumerate(zip(widths, widths[1:], drops, strict=False), start=1):
            self.add_module(f"hidden{number}", hidden_layer(width, next_width, activation, drop))
        self.fc = nn.Linear(widths[-1], num_outputs)
        self._weight_decay = check_weight_decay(weight_decay)

    @property
    def weight_decay(self) -> float | None:
        return self._weight_decay

    def outputs(self, vector: Tensor) -> Tensor:
        for layer in self.children():
            vector = layer(vector)
        return vector


def hidden_layer(width: int, next_width: int, activation: str, drop: float) -> nn.Sequential:
    if activation not in ACTIVATIONS:
        raise UserError(f"head.activation={activation} is unknown; {choices(activation, ACTIVATIONS)}")
    return nn.Sequential(nn.Linear(width, next_width), ACTIVATIONS[activation](), nn.Dropout(drop))


def check_hidden(hidden: Sequence[int]) -> list[int]:
    sizes = list(hidden)
    if not sizes or any(size < 1 for size in sizes):
        raise UserError(
            f"head.hidden={sizes}: the width of each hidden layer, at least one; without any use head=linear."
        )
    return sizes


def one_for_each(dropout: float | Sequence[float], layers: int) -> list[float]:
    values = [dropout] if isinstance(dropout, int | float) else list(dropout)
    if len(values) not in (1, layers):
        raise UserError(f"head.dropout={values}: one probability, or one for each of the {layers} hidden layers.")
    return [check_dropout(value) for value in (values * layers if len(values) == 1 else values)]


def check_weight_decay(weight_decay: float | None) -> float | None:
    if weight_decay is not None and weight_decay < 0:
        raise UserError(f"head.weight_decay={weight_decay}: at least 0, or null for the optimizer's.")
    return weight_decay
