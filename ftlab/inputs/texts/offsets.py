"""Where the tokens of a text's windows stand in it, so that an answer can follow and a prediction comes back.

Shapes: b batch, t positions of all windows of a sample.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ftlab.frames import Where
from ftlab.inputs.texts.windows import joined

OTHER, FILLING = -1, -2  # of a position: a token of the question or a special one; none at all


class Offsets(Where):
    """Of each position the characters of the context that its token stands for: begin, and end, which is not of them.

    Of one sample, or with a leading dimension b of a batch.
    """

    ragged: ClassVar[bool] = True

    def __init__(self, places: Tensor, contexts: Sequence[str] = ()) -> None:
        self.places = places  # (..., t, 2) int64; OTHER, FILLING
        self.contexts = list(contexts)  # of each sample; none where they come from a cache

    @classmethod
    def of(cls, windows: Sequence[Any], context: str) -> Self:
        """By the windows of a pair as the tokenizers library has them."""
        found = []
        for one in windows:
            is_context = torch.tensor([sequence == 1 for sequence in one.sequence_ids])[:, None]
            found.append(torch.where(is_context, torch.tensor(one.offsets, dtype=torch.int64), OTHER))
        return cls(joined(found, FILLING), [context])

    @classmethod
    def stacked(cls, several: Sequence["Offsets"]) -> Self:
        places = torch.nn.utils.rnn.pad_sequence([one.places for one in several], True, FILLING)
        return cls(places, [context for one in several for context in one.contexts])

    def packed(self) -> Tensor:
        """(b, t, 2) int32, a number higher, so that what a cache fills up with 0 fills here too."""
        return (self.places - FILLING).to(torch.int32)

    @classmethod
    def unpacked(cls, packed: Tensor) -> Self:
        return cls(packed.long() + FILLING)

    @property
    def mask(self) -> Tensor:
        """(..., t) bool, as the field "mask" of the sample."""
        return self.places[..., 0] != FILLING

    @property
    def in_context(self) -> Tensor:
        """(..., t) bool, True for what stands for characters of the context."""
        return (self.places[..., 0] >= 0) & (self.places[..., 1] > self.places[..., 0])

    def each(self, move: Callable[[Tensor], Tensor]) -> "Offsets":
        moved = move(self.places)
        kept = moved if moved.dtype == self.places.dtype else self.places.to(moved.device)
        return Offsets(kept, self.contexts)

    def of_one(self, place: int) -> "Offsets":
        return Offsets(self.places[place], self.contexts[place : place + 1])

    def select(self, places: Tensor) -> "Offsets":
        named = [self.contexts[place] for place in places.tolist()] if self.contexts else []
        return Offsets(self.places[places], named)
