"""Inputs that are those of other sequences of inputs, joined or selected."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ftlab.inputs.base import Inputs


class Joined:
    """The inputs of several sequences, one after the other."""

    def __init__(self, several: Sequence[Inputs]) -> None:
        self.several = several
        self.ends = list(accumulate(map(len, several)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Any:
        inputs, place = self.at(index)
        return inputs[place]

    def at(self, index: int) -> tuple[Inputs, int]:
        """The sequence that holds an input, and its place in it."""
        if not 0 <= index < len(self):  # what iterates without asking for the length ends here
            raise IndexError(index)
        part = bisect_right(self.ends, index)
        return self.several[part], index - (self.ends[part - 1] if part else 0)


class Selected:
    """Some of the inputs of another sequence, by index."""

    def __init__(self, inputs: Inputs, indices: Sequence[int]) -> None:
        self.inputs = inputs
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.inputs[self.indices[index]]
