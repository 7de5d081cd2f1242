import pytest
import torch
from lightning.fabric.utilities.data import _set_sampler_epoch
from torch.utils.data import DataLoader

from ftlab.data.sampling import KeyedBatchSampler, key
from ftlab.errors import UserError

KEY_OF_1_2_3 = 1517167407554927345  # written down once by another process, whose hash() had another seed


def indices(sampler) -> list[list[int]]:
    return [[index for _, index in batch] for batch in sampler]


def test_a_key_is_the_same_in_another_process_and_differs_for_each_part():
    assert key(1, 2, 3) == KEY_OF_1_2_3
    keys = {key(*parts) for parts in ((1, 2, 3), (1, 2, 4), (3, 2, 1), (12, 3), (1, 23), (-1, 2, 3))}
    assert len(keys) == 6
    assert all(0 <= value < 2**63 for value in keys)


def test_a_shuffled_epoch_holds_every_sample_once_in_another_order_each_epoch():
    sampler = KeyedBatchSampler(50, 8, True, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    again = KeyedBatchSampler(50, 8, True, seed=0)
    assert list(again) == first
    for epoch, batches in enumerate((first, second)):
        places = [place for batch in batches for place in batch]
        assert {e for e, _ in places} == {epoch}
        assert sorted(index for _, index in places) == list(range(50))
    assert indices(sampler) != indices(again)
    assert list(KeyedBatchSampler(50, 8, True, seed=1)) != first


def test_lightning_sets_the_epoch():
    sampler = KeyedBatchSampler(10, 4, True, seed=0)
    _set_sampler_epoch(DataLoader(list(range(10)), batch_sampler=sampler), 7)
    assert sampler.epoch == 7


def test_evaluation_keeps_the_order_and_epoch_0():
    sampler = KeyedBatchSampler(5, 2, False, seed=0)
    sampler.set_epoch(3)
    assert list(sampler) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [4, 8, 10, 11, 12, 16, 18])
def test_two_processes_partition_each_global_batch(size, shuffle):
    whole = indices(KeyedBatchSampler(size, 8, shuffle, seed=5))
    parts = [indices(KeyedBatchSampler(size, 8, shuffle, seed=5, rank=rank, world=2)) for rank in (0, 1)]
    for together, first, second in zip(whole, parts[0], parts[1], strict=True):
        assert together[0::2] == first
        assert together[1::2] == second
    assert min(len(batch) for part in parts for batch in part) >= (2 if shuffle else 1)


@pytest.mark.parametrize("size", [9, 17, 21])
def test_training_batches_are_the_same_for_one_two_and_four_processes(size):
    sizes = [KeyedBatchSampler(size, 8, True, seed=5, world=world).batch_sizes() for world in (1, 2, 4)]
    assert sizes[0] == sizes[1] == sizes[2]


def test_13_samples_on_two_processes_are_7_and_6():
    sizes = [sum(map(len, indices(KeyedBatchSampler(13, 8, False, 0, rank, 2)))) for rank in (0, 1)]
    assert sizes == [7, 6]


@pytest.mark.parametrize(
    ("size", "batch", "shuffle", "sizes"),
    [
        (17, 8, True, [8, 9]),  # one left over: BatchNorm cannot train on one
        (19, 8, True, [8, 11]),
        (20, 8, True, [8, 8, 4]),
        (9, 4, False, [4, 4, 1]),
        (5, 4, True, [5]),
        (3, 8, True, [3]),
        (8, 4, True, [4, 4]),
        (3, 1, True, [1, 1, 1]),  # what was asked for
        (1, 4, False, [1]),
    ],
)
def test_the_last_batch_is_never_too_small_and_nothing_is_lost(size, batch, shuffle, sizes):
    sampler = KeyedBatchSampler(size, batch, shuffle, seed=0)
    assert list(map(len, sampler)) == sizes
    assert len(sampler) == len(sizes)


def test_a_global_batch_smaller_than_the_number_of_processes_is_an_error():
    with pytest.raises(UserError, match=r"data.batch_size=1 is shared by 2 processes"):
        KeyedBatchSampler(10, 1, True, 0, world=2)


def test_drawing_an_order_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    list(KeyedBatchSampler(10, 4, True, 0))
    assert torch.equal(torch.get_rng_state(), before)
