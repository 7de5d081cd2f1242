import gzip

import numpy as np
import pytest

from ftlab.data.module import read
from ftlab.data.sources.idx import Idx
from ftlab.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 5, 4), dtype=np.uint8)
LABELS = np.array([3, 7] * 6, dtype=np.uint8)  # not from 0, as in EMNIST's letters


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def write(root, part: str, images: np.ndarray, labels: np.ndarray, zipped: bool) -> None:
    for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        data = idx_bytes(array)
        (root / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)


@pytest.mark.parametrize("zipped", [False, True])
def test_val_is_split_off_train_and_the_test_files_are_the_test_split(tmp_path, zipped):
    write(tmp_path, "train", PIXELS[:10], LABELS[:10], zipped)
    write(tmp_path, "t10k", PIXELS[10:], LABELS[10:], zipped)
    splits, spec = read(Idx(str(tmp_path), (0.6, 0.4, 0.0)), seed=0)
    assert spec.sizes == {"train": 6, "val": 4, "test": 2}
    assert spec.target.classes == ("3", "7")
    for part, start in ((splits.train, 0), (splits.val, 0), (splits.test, 10)):
        for place, name in enumerate(part.names):
            index = start + int(name.split("/")[1])
            assert np.array_equal(part.inputs[place][2].numpy(), PIXELS[index])
            assert spec.target.classes[part.targets[place]] == str(LABELS[index])


def test_without_test_files_the_shares_decide(tmp_path):
    write(tmp_path, "train", PIXELS, LABELS, False)
    _, spec = read(Idx(str(tmp_path), (0.5, 0.25, 0.25)), seed=0)
    assert spec.sizes == {"train": 4, "val": 4, "test": 4}  # of 6 a class: 1.5 rounds to 2


def test_a_cut_file_a_wrong_type_and_a_missing_file_are_errors_with_the_name(tmp_path):
    source = Idx(str(tmp_path), (0.6, 0.4, 0.0))
    with pytest.raises(UserError, match=r"no file train-images-idx3-ubyte .*; the folder is empty\.$"):
        source.read(0)
    (tmp_path / "train-image-idx3-ubyte").touch()
    with pytest.raises(UserError, match=r"no file train-images-idx3-ubyte .* did you mean 'train-image-idx3-ubyte'"):
        source.read(0)
    write(tmp_path, "train", PIXELS, LABELS, False)
    images = tmp_path / "train-images-idx3-ubyte"
    good = images.read_bytes()
    images.write_bytes(good[:-1])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte has 239 bytes.*\[12, 5, 4\]"):
        source.read(0)
    images.write_bytes(b"\0\0\x0d" + good[3:])
    with pytest.raises(UserError, match="no IDX file of unsigned bytes with 3 dimensions"):
        source.read(0)
    images.unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(good)[:-20])
    with pytest.raises(UserError, match=r"idx3-ubyte.gz cannot be read"):
        source.read(0)


def test_counts_and_labels_that_do_not_fit_are_errors(tmp_path):
    write(tmp_path, "train", PIXELS, LABELS[:11], False)
    with pytest.raises(UserError, match="12 train images and 11 labels"):
        Idx(str(tmp_path), (1, 0, 0)).read(0)
    write(tmp_path, "train", PIXELS, LABELS, False)
    write(tmp_path, "t10k", PIXELS[:1], LABELS[:1] + 1, False)
    with pytest.raises(UserError, match=r"t10k has labels \[4\]"):
        Idx(str(tmp_path), (1, 0, 0)).read(0)
