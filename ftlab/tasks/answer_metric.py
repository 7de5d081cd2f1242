"""What is known of the answers of a split: in a file of its own, since importing torchmetrics takes a second.

Shapes: n questions.
"""

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Gathered(Metric):
    """All rows of `quality`: figures depend on the score from which an answer is given, which val decides last."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in ("rows", "true"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, rows: Tensor, true: Tensor) -> None:
        """rows: (n, 3), true: (n, 2)."""
        self.rows.append(rows.to(self.device))  # type: ignore[operator, union-attr]  # a list until ranks are joined
        self.true.append(true.to(self.device))  # type: ignore[operator, union-attr]

    def compute(self) -> dict[str, Tensor]:
        return {name: dim_zero_cat(getattr(self, name)).cpu() for name in ("rows", "true")}
