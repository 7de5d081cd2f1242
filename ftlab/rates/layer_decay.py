"""Layer-wise decay: each stage learns slower than the one after it.

Source: Clark et al. 2020, "ELECTRA"; for images Bao et al. 2021, "BEiT".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.errors import UserError
from ftlab.rates.base import Rates


@dataclass(frozen=True)
class LayerDecay(Rates):
    """Multiplier decay**depth, depth counted from the output: 0 for the head, 1 for the last stage below it."""

    decay: float = 0.75

    def of(self, stages: Sequence[str]) -> dict[str, float]:
        if not 0 < self.decay <= 1:
            raise UserError(f"rates.decay={self.decay}: must be above 0 and at most 1")
        backbone = [s for s in stages if not s.startswith("head/")]
        depth = {s: len(backbone) - i for i, s in enumerate(backbone)}
        return {s: self.decay ** depth.get(s, 0) for s in stages}
