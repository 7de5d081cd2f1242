import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from ftlab.data.datasets import from_datasets
from ftlab.data.module import describe
from ftlab.errors import UserError
from ftlab.inputs.images.files import pixels
from ftlab.targets.numbers import Numbers


class Photos(Dataset):
    """Eight grey images with labels 0, 1, 0, 1, ...; counts how often an item is read."""

    def __init__(self, labels=None):
        self.items = [(Image.new("L", (4, 4), 10 * i), i % 2) for i in range(8)]
        self.reads = 0
        if labels is not None:
            self.targets = labels

    def __len__(self):
        return 8

    def __getitem__(self, index):
        self.reads += 1
        return self.items[index]


def test_labels_are_taken_from_targets_without_reading_images():
    data = Photos(labels=[1, 0] * 4)
    splits = from_datasets(data)
    assert splits.train.targets.tolist() == [1, 0] * 4
    assert data.reads == 0


def test_labels_of_a_subset_are_those_of_its_indices():
    data = Photos(labels=list(range(8)))
    assert from_datasets(Subset(data, [5, 2])).train.targets.tolist() == [5, 2]
    assert data.reads == 0


def test_without_targets_each_item_is_read_once():
    data = Photos()
    splits = from_datasets(data, val=Photos())
    assert data.reads == 8
    assert splits.train.targets.tolist() == [0, 1] * 4
    assert splits.train.inputs[3].getpixel((0, 0)) == (30, 30, 30)
    assert splits.target.classes == ("0", "1")
    assert splits.test is None


def test_labels_that_a_transform_changes_are_read_from_the_items():
    data = Photos(labels=[0] * 8)
    data.target_transform = lambda label: label
    assert from_datasets(data).train.targets.tolist() == [0, 1] * 4


def test_tensors_of_0_to_1_become_uint8_and_label_vectors_floats():
    images = torch.linspace(0, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)
    labels = torch.tensor([[1, 0, 1], [0, 0, 1]])
    splits, spec = describe("mine", from_datasets(TensorDataset(images, labels), classes=["a", "b", "c"]), seed=0)
    assert torch.equal(splits.train.inputs[1], (images[1] * 255).round().to(torch.uint8))
    assert splits.train.targets.dtype == torch.float32
    assert spec.target.counts == (1, 0, 2)


def test_images_that_cannot_be_meant_are_refused():
    with pytest.raises(UserError, match="leave normalisation out"):
        pixels(torch.full((3, 2, 2), -1.5))
    with pytest.raises(UserError, match="str"):
        pixels("cat.png")
    with pytest.raises(UserError, match=r"\(5, 2, 2\)"):
        pixels(torch.zeros(5, 2, 2))


def test_grey_arrays_become_three_equal_channels():
    image = pixels(np.array([[0, 7], [200, 255]], dtype=np.uint8))
    assert image.getpixel((0, 1)) == (200, 200, 200)


def test_labels_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="labels of train"):
        from_datasets(Photos(labels=["cat", "dog"] * 4))
    with pytest.raises(UserError, match=r"labels of val are torch.float"):
        from_datasets(Photos(), val=Photos(labels=[0.5] * 8))


def test_numbers_have_the_names_of_the_targets():
    one = from_datasets(Photos(labels=[0.5 * i for i in range(8)]), targets=["angle"])
    assert one.train.targets.tolist() == [[0.5 * i] for i in range(8)]
    assert one.target == Numbers(("angle",))
    pairs = from_datasets(
        Photos(labels=torch.arange(16.0).view(8, 2)), val=Photos(torch.ones(8, 2)), targets=["a", "b"]
    )
    _, spec = describe("own", pairs, seed=0)
    assert spec.target.means == (7.0, 8.0)
    assert pairs.val.targets.shape == (8, 2)


@pytest.mark.parametrize(
    ("labels", "settings", "said"),
    [
        (
            [[1.0, 2.0]] * 8,
            {"targets": ["a"]},
            r"the items of train have numbers of shape \(2,\); targets names 1 \(a\)",
        ),
        (["x"] * 8, {"targets": ["a"]}, "the numbers of train are no numbers"),
        ([[1.0], [1.0, 2.0]] * 4, {"targets": ["a"]}, "not as many in each item"),
        ([1] * 8, {"targets": ["a"], "classes": ["b"]}, "give one of them"),
    ],
)
def test_numbers_that_do_not_fit_their_names_are_errors(labels, settings, said):
    with pytest.raises(UserError, match=said):
        from_datasets(Photos(labels=labels), **settings)
