"""Tokens of a text that are hidden from the network: a text without a label is its own target.

Shapes: n samples, t tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ftlab.batch import Fields
from ftlab.inputs.base import SEEN, Transform, masking
from ftlab.targets.base import Target


@dataclass(frozen=True)
class MaskedTokens(Target):
    """Columns are (n, 0): nothing is read. One sample's target is (t,) int64, drawn as its input is prepared."""

    kind: ClassVar[str] = "masked_tokens"
    plural: ClassVar[str] = "masked tokens"
    task: ClassVar[str] = "masked_language"
    given: ClassVar[str] = "give texts, by data=text_csv or data=text_lines"
    hides: ClassVar[bool] = True

    share: float = 0.15  # of the tokens of a text that are asked for

    def faults(self, column: Tensor) -> dict[int, str]:
        return {}

    def hidden(self, transform: Transform, first: Any) -> tuple[Fields, Tensor]:
        return masking(transform, self.plural).masked(first, self.share)

    def shown(self, one: Tensor) -> str:
        return f"{int((one != SEEN).sum())} of {len(one)} tokens hidden" if len(one) else ""

    def same(self, one: Tensor, other: Tensor) -> bool:
        return True

    def collated(self, several: Sequence[Tensor]) -> Tensor:
        """(b, t), as long as the longest of them."""
        return pad_sequence(list(several), batch_first=True, padding_value=SEEN)

    def stored(self) -> dict[str, Any]:
        return {"share": self.share}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        share = float(stored["share"])
        if not 0 < share < 1:
            raise ValueError(f"targets: {share} is no share of tokens")
        return cls(share)

    def described(self) -> dict[str, Any]:
        return {"classes": [], "targets": []}


def column(samples: int) -> Tensor:
    """The targets of so many texts, of which none is there yet."""
    return torch.zeros(samples, 0, dtype=torch.int64)
