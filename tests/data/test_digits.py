import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ftlab.data.module import read
from ftlab.data.sources.digits import Digits
from ftlab.errors import UserError


def test_digits_are_split_into_every_image_once():
    splits, spec = read(Digits([0.7, 0.15, 0.15]), seed=0)
    names = [name for part in (splits.train, splits.val, splits.test) for name in part.names]
    assert sorted(names, key=lambda name: int(name.split("/")[1])) == [f"digits/{i}" for i in range(1797)]
    assert sum(spec.sizes.values()) == 1797
    assert abs(spec.sizes["val"] - 0.15 * 1797) < 10  # half a sample of each class at most
    assert spec.name == "digits"
    assert spec.target.classes == tuple("0123456789")
    assert spec.warnings == ()


def test_a_digit_is_scaled_from_16_to_255_and_has_its_own_label():
    splits, _ = read(Digits([0.7, 0.15, 0.15]), seed=0)
    data = load_digits()
    for place in (0, 100):
        index = int(splits.val.names[place].split("/")[1])
        image = splits.val.inputs[place]
        assert image.dtype == torch.uint8
        assert image.shape == (3, 8, 8)
        assert np.array_equal(image[1].numpy(), np.round(data.images[index] * 255 / 16))
        assert splits.val.targets[place] == data.target[index]


def test_every_class_has_its_share_of_every_split():
    splits, _ = read(Digits([0.7, 0.15, 0.15]), seed=3)
    total = np.bincount(load_digits().target)
    for part, share in ((splits.train, 0.7), (splits.val, 0.15), (splits.test, 0.15)):
        assert np.abs(np.bincount(part.targets) - share * total).max() <= 1


def test_the_split_is_equal_for_equal_seeds_and_differs_for_others():
    first, again, other = (Digits([0.7, 0.15, 0.15]).read(seed).train.names for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("split", [[0.7, 0.2], [0.5, 0.6, -0.1], [0.7, 0.1, 0.1], [0, 0.5, 0.5]])
def test_shares_that_do_not_add_up_are_refused_with_an_example(split):
    with pytest.raises(UserError, match=r"data.split=.*0.7,0.15,0.15"):
        Digits(split).read(0)
