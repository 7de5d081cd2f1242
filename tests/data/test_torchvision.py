import hashlib
import pickle

import numpy as np
import pytest
from torchvision import datasets

from ftlab.data.module import read
from ftlab.data.sources.torchvision import TorchvisionDataset, loadable
from ftlab.errors import UserError
from tests.data.test_idx import LABELS, PIXELS, write


def test_an_mnist_on_disk_is_read_with_its_own_test_split(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    write(raw, "train", PIXELS[:10], LABELS[:10], False)
    write(raw, "t10k", PIXELS[10:], LABELS[10:], False)
    splits, spec = read(TorchvisionDataset("MNIST", str(tmp_path), (0.6, 0.4, 0.0)), seed=0)
    assert spec.sizes == {"train": 6, "val": 4, "test": 2}
    assert spec.target.classes == tuple(datasets.MNIST.classes)
    assert splits.test.targets.tolist() == [3, 7]
    assert np.array_equal(np.asarray(splits.test.inputs[1])[..., 0], PIXELS[11])


def test_a_class_with_named_splits_is_read(tmp_path, monkeypatch):
    from scipy.io import savemat

    for split, count in (("train", 8), ("test", 2)):
        colours = np.arange(32 * 32 * 3 * count, dtype=np.int64).reshape(32, 32, 3, count) % 251
        labels = np.arange(count)[:, None] % 2 + 1
        savemat(tmp_path / f"{split}_32x32.mat", {"X": colours.astype(np.uint8), "y": labels.astype(np.uint8)})
        md5 = hashlib.md5((tmp_path / f"{split}_32x32.mat").read_bytes()).hexdigest()
        monkeypatch.setitem(datasets.SVHN.split_list, split, ["", f"{split}_32x32.mat", md5])
    splits, spec = read(TorchvisionDataset("SVHN", str(tmp_path), (0.75, 0.25, 0.0)), seed=0)
    assert spec.sizes == {"train": 6, "val": 2, "test": 2}
    assert splits.test.inputs[0].size == (32, 32)


def test_data_that_is_not_there_is_an_error_that_says_how_to_fetch_it(tmp_path):
    with pytest.raises(UserError, match=r"CIFAR10 \(train\) is not in .*CIFAR10\(.*download=True\)"):
        TorchvisionDataset("CIFAR10", str(tmp_path), (0.9, 0.1, 0)).read(0)
    with pytest.raises(UserError, match=r"FER2013.*cannot fetch it"):
        TorchvisionDataset("FER2013", str(tmp_path), (0.9, 0.1, 0)).read(0)


def test_an_unknown_class_is_an_error_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"data.dataset=CIFAR11.*did you mean 'CIFAR10'"):
        TorchvisionDataset("CIFAR11", str(tmp_path), (0.9, 0.1, 0)).read(0)


def test_classes_that_need_more_than_root_and_split_are_not_offered():
    names = set(loadable())
    assert {"CIFAR10", "Food101", "Flowers102", "ImageNet", "OxfordIIITPet"} <= names
    assert not {"EMNIST", "FakeData", "ImageFolder", "KittiFlow", "VOCDetection"} & names


def test_a_torchvision_source_can_be_sent_to_a_worker():
    source = TorchvisionDataset("CIFAR10", "x", (0.9, 0.1, 0))
    assert pickle.loads(pickle.dumps(source)).dataset == "CIFAR10"
