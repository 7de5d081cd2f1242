"""Rows of samples that have not all as many positions: what comes out is what was put in, filled up with 0."""

import numpy as np
import torch

from ftlab.cache.rows import RaggedRows, Rows, bytes_of

COUNTS = torch.tensor([2, 5, 1, 3])


def kept(shape: tuple[int, ...]) -> RaggedRows:
    array = np.zeros((int(COUNTS.sum()), bytes_of(shape, torch.float32, "float32")), np.uint8)
    return RaggedRows(Rows(array, shape, torch.float32, "float32"), COUNTS)


def test_values_come_back_in_any_order_as_long_as_the_longest_of_them():
    rows, values = kept((4,)), torch.randn(4, 5, 4)
    rows.put(torch.tensor([3, 0]), values[[3, 0], :3])  # batches are as long as their longest
    rows.put(torch.tensor([1, 2]), values[[1, 2]])
    found = rows.get(torch.tensor([0, 3, 2]))
    assert found.shape == (3, 3, 4)
    for place, sample in enumerate((0, 3, 2)):
        count = int(COUNTS[sample])
        assert torch.equal(found[place, :count], values[sample, :count])
        assert not found[place, count:].any()
    assert torch.equal(rows.get(torch.tensor([1]))[0], values[1])


def test_a_number_of_each_position_is_kept_too():
    rows, values = kept(()), torch.arange(20.0).reshape(4, 5) + 1
    rows.put(torch.arange(4), values)
    assert rows.get(torch.tensor([2, 0])).tolist() == [[11, 0], [1, 2]]
