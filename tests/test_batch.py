"""A batch of any structure: every tensor moves, and samples, not what is inside of them, are taken out.

Shapes: b batch, n boxes of all samples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ftlab.batch import Batch, of_one


@dataclass
class Boxes:
    """As many boxes a sample as it has."""

    corners: Tensor  # (n, 4)
    lengths: Tensor  # (b,)

    def each(self, move: Callable[[Tensor], Tensor]) -> "Boxes":
        return Boxes(move(self.corners), move(self.lengths))

    def select(self, places: Tensor) -> "Boxes":
        parts = self.corners.split(self.lengths.tolist())
        return Boxes(torch.cat([parts[place] for place in places]), self.lengths[places])


def batch() -> Batch:
    corners = torch.arange(20.0).view(5, 4)
    targets = {"boxes": Boxes(corners, torch.tensor([1, 0, 4])), "pair": (torch.arange(3), torch.arange(3) * 2)}
    inputs = {"images": torch.rand(3, 3, 2, 2), "question": torch.arange(6).view(3, 2)}
    return Batch(targets, torch.tensor([7, 8, 9]), inputs, border=(torch.arange(3.0),))


def test_every_tensor_moves_be_it_in_targets_of_their_own_kind() -> None:
    seen: list[int] = []

    def doubled(tensor: Tensor) -> Tensor:
        seen.append(tensor.numel())
        return tensor * 2

    moved = batch().each(doubled)
    assert sorted(seen) == [3, 3, 3, 3, 3, 6, 20, 36]
    assert moved.targets["boxes"].corners.tolist() == (torch.arange(20.0).view(5, 4) * 2).tolist()
    assert moved.targets["pair"][1].tolist() == [0, 4, 8]
    assert moved.inputs["question"].tolist() == [[0, 2], [4, 6], [8, 10]]
    assert moved.border is not None
    assert moved.border[0].tolist() == [0, 2, 4]


def test_samples_are_taken_out_with_all_that_is_theirs() -> None:
    found = batch().select(torch.tensor([2, 0, 2]))
    assert len(found) == 3
    assert found.index.tolist() == [9, 7, 9]
    assert found.targets["boxes"].lengths.tolist() == [4, 1, 4]
    assert found.targets["boxes"].corners[:, 0].tolist() == [4, 8, 12, 16, 0, 4, 8, 12, 16]
    assert found.targets["pair"][1].tolist() == [4, 0, 4]
    assert found.inputs["question"].tolist() == [[4, 5], [0, 1], [4, 5]]
    assert found.border is not None
    assert found.border[0].tolist() == [2, 0, 2]


def test_a_list_holds_one_element_a_sample_whatever_that_is() -> None:
    several = [{"boxes": torch.arange(4.0 * n).view(n, 4), "name": str(n)} for n in (2, 0, 3)]
    found = Batch({"found": several, "all": torch.arange(3)}, torch.arange(3)).select(torch.tensor([2, 0]))
    assert [one["name"] for one in found.targets["found"]] == ["3", "2"]
    assert [len(one["boxes"]) for one in found.targets["found"]] == [3, 2]
    assert found.targets["all"].tolist() == [2, 0]
    one = of_one({"found": several, "all": torch.arange(3), "boxes": batch().targets["boxes"]}, 2)
    assert (one["found"]["name"], int(one["all"])) == ("3", 2)
    assert one["boxes"].lengths.tolist() == [4]
    assert found.each(lambda tensor: tensor + 1).targets["found"][1]["boxes"][0].tolist() == [1, 2, 3, 4]


def test_without_targets_a_batch_is_as_long_as_its_index() -> None:
    few = Batch(None, torch.arange(4), {"images": torch.zeros(4, 1)}).select(torch.tensor([3]))
    assert few.targets is None
    assert len(few) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs a GPU")
def test_a_batch_lies_in_page_locked_memory_with_all_its_parts() -> None:
    pinned = batch().pin_memory()
    assert all(t.is_pinned() for t in (pinned.index, pinned.inputs["images"], pinned.targets["boxes"].corners))
