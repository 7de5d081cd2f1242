"""Batches of kept rows have the targets that batches of loaded samples have.

Shapes: n samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ftlab.cache.kept import Kept
from ftlab.data.base import Samples
from ftlab.targets.base import Target
from ftlab.targets.numbers import Numbers


class Words:
    """A column that is no tensor."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, place: int) -> str:
        return self.words[place]

    def select(self, places: Tensor) -> "Words":
        return Words([self.words[place] for place in places.tolist()])


@dataclass(frozen=True)
class Lengths(Target):
    kind: ClassVar[str] = "lengths"
    plural: ClassVar[str] = "lengths"
    task: ClassVar[str] = "none"

    def faults(self, column: Words) -> dict[int, str]:
        return {}

    def shown(self, one: str) -> str:
        return one

    def same(self, one: str, other: str) -> bool:
        return one == other

    def collated(self, several: Sequence[str]) -> Tensor:
        return torch.tensor([len(word) for word in several])

    def stored(self) -> dict[str, Any]:
        return {}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Lengths":
        return cls()


def kept(column: Any, target: Target) -> Any:
    return Kept([], Samples([None] * 3, column), target).batch([(0, 2), (0, 0)]).targets


def test_targets_that_are_no_tensor_are_collated_by_their_kind() -> None:
    assert kept(Words(["a", "bb", "ccc"]), Lengths()).tolist() == [3, 1]


def test_targets_that_are_a_tensor_are_its_rows() -> None:
    column = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert torch.equal(kept(column, Numbers(("a", "b"))), column[[2, 0]])
