import pytest
import torch

from ftlab.data.base import Samples
from ftlab.data.splits import complete, select, stratified_order, subset
from ftlab.errors import UserError
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels

ABC = Classes(("a", "b", "c"))
LETTERS = Labels(tuple("abcdefghijklmnopqrst"))
TARGETS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def samples(targets=TARGETS) -> Samples:
    return Samples(list(range(len(targets))), targets, [f"s{i}" for i in range(len(targets))])


def counts(part: Samples) -> list[int]:
    return torch.bincount(part.targets, minlength=3).tolist()


def test_images_targets_and_names_of_a_selection_stay_together():
    part = select(select(samples(), torch.tensor([70, 5, 99])), torch.tensor([2, 0]))
    assert [part.inputs[i] for i in range(2)] == [99, 70]
    assert part.targets.tolist() == [2, 1]
    assert part.names == ["s99", "s70"]


def test_every_class_of_three_is_in_every_split_however_small_the_shares():
    targets = torch.tensor([0] * 3 + [1] * 4 + [2] * 50)
    train, val, test, warnings = complete(ABC, samples(targets), None, None, (0.9, 0.05, 0.05), 0)
    assert counts(val)[:2] == [1, 1]
    assert counts(test)[:2] == [1, 1]
    assert counts(train)[:2] == [1, 2]
    assert warnings == ()
    assert sorted(train.names + val.names + test.names) == sorted(samples(targets).names)


def test_a_share_of_train_that_is_tiny_keeps_a_sample_of_each_class():
    train, val, test, _ = complete(ABC, samples(), None, None, (0.01, 0.5, 0.49), 0)
    assert counts(train) == [1, 1, 1]  # rounding alone would leave none
    assert len(train) + len(val) + len(test) == 100


def test_splits_that_the_source_has_are_never_touched():
    val, test = samples(), samples()
    assert complete(ABC, samples(), val, None, (0.5, 0.25, 0.25), 0)[1:3] == (val, None)
    train, own, kept, _ = complete(ABC, samples(), None, test, (0.5, 0.5, 0.0), 0)
    assert kept is test
    assert len(train) == len(own) == 50


@pytest.mark.parametrize(("spec", "size"), [(0.1, 10), ("0.1", 10), (30, 30), ("30", 30), (1.0, 100), (100, 100)])
def test_a_subset_keeps_the_shares_of_the_classes(spec, size):
    part, _ = subset(ABC, samples(), spec, seed=0)
    assert len(part) == size
    for have, total in zip(counts(part), (60, 30, 10), strict=True):
        assert abs(have - total * size / 100) <= 1.5


def test_a_number_of_each_class_is_met_exactly():
    part, _ = subset(ABC, samples(), "7/class", seed=0)
    assert counts(part) == [7, 7, 7]
    assert len(set(part.names)) == 21


def test_a_smaller_subset_is_inside_a_larger_and_depends_on_the_seed():
    small, large, other = (set(subset(ABC, samples(), *ask)[0].names) for ask in ((10, 0), (40, 0), (10, 1)))
    assert small < large
    assert small != other


def test_the_beginning_of_the_order_holds_one_of_each_class():
    assert sorted(TARGETS[stratified_order(TARGETS, 5)[:3]].tolist()) == [0, 1, 2]


def test_none_is_everything():
    whole = samples()
    assert subset(ABC, whole, None, 0) == (whole, ())


@pytest.mark.parametrize("spec", [0, 0.0, -5, 1.5, 101, "101", "0/class", "11/class", "few", "5/klass", True, 2, "nan"])
def test_a_subset_out_of_range_is_an_error_that_names_what_is_accepted(spec):
    with pytest.raises(UserError, match=r"subset=.*(accepted|fewer than the 3 classes)"):
        subset(ABC, samples(), spec, 0)


def test_multilabel_samples_are_drawn_at_random_and_that_is_said():
    part, warnings = subset(LETTERS, samples(torch.eye(20)), 0.25, 0)
    assert len(part) == 5
    assert "at random" in warnings[0]
    with pytest.raises(UserError, match="2/class"):
        subset(LETTERS, samples(torch.eye(20)), "2/class", 0)
