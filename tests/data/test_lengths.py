"""Batches of samples of about one length: every sample once, the same for any number of processes, little filled up."""

import pytest
import torch

from ftlab.data.lengths import grouped_by_length
from ftlab.data.sampling import KeyedBatchSampler

LENGTHS = torch.randint(3, 128, (1003,), generator=torch.Generator().manual_seed(7))


def sampler(batch: int = 8, window: int = 8, shuffle: bool = True, **place: int) -> KeyedBatchSampler:
    return KeyedBatchSampler(len(LENGTHS), batch, shuffle, seed=3, lengths=lambda: LENGTHS, window=window, **place)


def batches(of: KeyedBatchSampler, epoch: int = 0) -> list[list[int]]:
    of.set_epoch(epoch)
    return [[index for _, index in batch] for batch in of]


def filled_up(several: list[list[int]]) -> int:
    """Positions that only fill a batch."""
    return sum(int((LENGTHS[batch].max() - LENGTHS[batch]).sum()) for batch in several)


def test_every_sample_comes_once_in_every_epoch_in_another_order_that_the_seed_alone_decides():
    first, second = batches(sampler()), batches(sampler(), epoch=1)
    for epoch in (first, second):
        assert sorted(index for batch in epoch for index in batch) == list(range(len(LENGTHS)))
    assert first != second
    assert batches(sampler(), epoch=1) == second


def test_little_is_filled_up_and_long_batches_come_at_any_time():
    grouped, random = batches(sampler()), batches(sampler(window=0))
    assert filled_up(grouped) < 0.1 * filled_up(random)
    longest = torch.tensor([int(LENGTHS[batch].max()) for batch in grouped[:-1]], dtype=torch.float64)
    half = len(longest) // 2
    assert longest[:half].mean() == pytest.approx(longest[half:].mean(), rel=0.25)
    assert sorted(longest.tolist()) != longest.tolist()


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_each_batch_evenly_and_with_it_the_lengths(world):
    whole = batches(sampler(batch=12, window=12))
    parts = [batches(sampler(batch=12, window=12, rank=rank, world=world)) for rank in range(world)]
    for together, *own in zip(whole, *parts, strict=True):
        assert [sorted(together[rank::world]) for rank in range(world)] == [sorted(part) for part in own]
    totals = [int(LENGTHS[[i for batch in part for i in batch]].sum()) for part in parts]
    assert max(totals) < 1.05 * min(totals)


def test_accumulated_batches_hold_the_samples_of_the_large_one():
    small, large = batches(sampler(batch=8, window=32)), batches(sampler(batch=32, window=32))
    joined = [[i for batch in small[start : start + 4] for i in batch] for start in range(0, len(small), 4)]
    assert [sorted(one) for one in joined] == [sorted(one) for one in large]


def test_what_is_not_shuffled_comes_the_longest_first_and_a_random_order_asks_for_no_length():
    ordered = [index for batch in batches(sampler(shuffle=False)) for index in batch]
    lengths = LENGTHS[ordered].tolist()
    assert lengths == sorted(lengths, reverse=True)
    asked = []
    plain = KeyedBatchSampler(10, 4, True, seed=0, lengths=lambda: asked.append(1))
    assert list(plain) == list(KeyedBatchSampler(10, 4, True, seed=0))
    assert not asked


@pytest.mark.parametrize(("count", "window"), [(1, 8), (7, 8), (8, 8), (9, 8), (33, 8), (5000, 4)])
def test_any_number_of_samples_is_a_permutation(count, window):
    lengths = torch.arange(count) % 17
    found = grouped_by_length(lengths, window, torch.Generator().manual_seed(0))
    assert sorted(found.tolist()) == list(range(count))


def test_an_epoch_that_was_interrupted_goes_on_with_the_same_batches():
    whole, resumed = batches(sampler(), epoch=2), sampler()
    resumed.skip(40)
    assert batches(resumed, epoch=2) == whole[40:]
