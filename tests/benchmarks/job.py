"""What speed.py asks of every peer, and what all of them share: images, order of batches, network, rates.

The peers take their images from ftlab's data set and sampler, so that every one sees the same batches.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ftlab.backbones.weights import PACKAGED, load_packaged
from ftlab.data.base import Samples, Splits
from ftlab.data.sampling import Item, KeyedBatchSampler, KeyedDataset
from ftlab.data.sources.idx import Idx, read_idx
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.pictures import PictureTransform
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.classes import Classes

FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
SIDE = 64  # pixels
BATCH = 32
LR = 1e-3  # of the head, AdamW without weight decay, no schedule
SHARE = 0.1  # of it, for the stages of the backbone
Loader = Any  # a DataLoader of (images, targets)
LIGHT = Augment(rotation=10, shift=0.1, zoom=0.1, horizontal_flip=0.5)  # augment=light
FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}


@dataclass(frozen=True)
class Job:
    """One fit in one process. All phases train the head; nothing validates."""

    peer: str
    root: str  # folder of IDX files with the images to train on and to judge by
    folder: str  # for what it writes
    phases: tuple[tuple[int, int], ...]  # (epochs, how many of the last stages train)
    augmented: bool = False
    classes: int | None = None  # labels drawn over that many; None: the true ones
    words: tuple[str, ...] = ()  # more of ftlab's command line

    @property
    def epochs(self) -> int:
        return sum(epochs for epochs, _ in self.phases)


# --- data


def write(root: Path, train: int, test: int) -> None:
    """IDX files of `train` and `test` images, drawn from Fashion-MNIST or, where that is absent, from digits."""
    root.mkdir(parents=True)
    whole = {part: fashion(file) for part, file in FILES.items()} if FASHION.is_dir() else digits()
    for part, count in {"train": train, "test": test}.items():
        images, labels = whole[part]
        taken = np.resize(np.random.default_rng(0).permutation(len(labels)), count)  # of digits some more than once
        for array, name in ((images[taken], FILES[part]), (labels[taken], labels_of(FILES[part]))):
            sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
            (root / name).write_bytes(bytes((0, 0, 8, array.ndim)) + sides + array.tobytes())


def fashion(file: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, 28, 28) uint8 images and (n,) uint8 labels."""
    return read_idx(FASHION / f"{file}.gz", 3), read_idx(FASHION / f"{labels_of(file)}.gz", 1)


def digits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from sklearn.datasets import load_digits  # takes a second

    data = load_digits()
    images, labels = np.round(data.images * 255 / 16).astype(np.uint8), data.target.astype(np.uint8)
    return {"train": (images[1000:], labels[1000:]), "test": (images[:1000], labels[:1000])}


def labels_of(file: str) -> str:
    return file.replace("images-idx3", "labels-idx1")


def splits(job: Job) -> Splits:
    found = Idx(job.root, [1.0, 0.0, 0.0]).read(0)
    if job.classes is None:
        return found
    drawn = torch.randint(job.classes, (len(found.train),), generator=torch.Generator().manual_seed(0))
    names = tuple(f"{number:04}" for number in range(job.classes))
    return Splits(replace(found.train, targets=drawn), None, None, Classes(names))


class Epochs(KeyedBatchSampler):
    """ftlab's order of each epoch for loops that tell a sampler nothing."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from super().__iter__()
        self.epoch += 1


def loader(samples: Samples, shuffle: bool, augmented: bool = False) -> Loader:
    """Batches of images (b, 3, SIDE, SIDE) and targets (b,)."""
    preprocessing = Preprocessing((SIDE, SIDE), (0.5,) * 3, (0.5,) * 3)  # those of the network's weights
    transform = PictureTransform(preprocessing, LIGHT if augmented else None)
    sampler = Epochs(len(samples), BATCH, shuffle, seed=0)
    return DataLoader(KeyedDataset(samples, transform, seed=0), batch_sampler=sampler, collate_fn=pairs)


def pairs(items: list[Item]) -> tuple[Tensor, Tensor]:
    inputs, targets, *_ = zip(*items, strict=True)
    return torch.stack([fields["images"] for fields in inputs]), torch.stack(targets)


# --- network


class Network(nn.Module):
    """tf_efficientnet_lite0 with its ImageNet weights under a new linear layer, the same weights at each call."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        net = timm.create_model(PACKAGED, num_classes=0)
        load_packaged(net)
        stem, last = nn.Sequential(net.conv_stem, net.bn1), nn.Sequential(net.blocks[-1], net.conv_head, net.bn2)
        self.backbone = nn.Sequential(stem, *net.blocks[:-1], last, net.global_pool)
        self.head = nn.Linear(net.num_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))

    def cut(self, count: int) -> tuple[nn.Sequential, nn.Sequential]:
        """(what is frozen, the last `count` stages and the pooling)."""
        border = len(self.backbone) - 1 - count
        return self.backbone[:border], self.backbone[border:]

    def last(self, count: int) -> nn.Sequential:
        """The last `count` stages."""
        return self.cut(count)[1][:-1]

    def thaws(self, job: Job) -> list[tuple[int, nn.Sequential]]:
        """Of each phase but the first: (the epoch it begins with, the stages that it thaws)."""
        found, begins = [], 0
        for (epochs, before), (_, count) in pairwise(job.phases):
            begins += epochs
            found.append((begins, self.last(count)[: count - before]))
        return found
