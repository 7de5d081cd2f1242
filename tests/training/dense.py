"""Runs that detect or segment bright and dark squares, and train in seconds."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import ftlab
from ftlab.assembly import Parts, assemble
from ftlab.config import plainly
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule
from ftlab.run import loaders
from ftlab.run_settings import RunSettings, typed
from ftlab.targets.masks import ArrayMasks, Masks
from ftlab.targets.ragged import Parts as Boxes
from tests.test_detection_run import NETWORK, SIDE, SMALL, scenes

COUNTS = [0, 2, 0, 1, 5, 0, 3, 1, 0, 12, 0, 0, 1, 4, 0, 0, 0, 1, 7, 0, 2, 1]  # squares of the images of train
OF = {
    "detection": (*NETWORK, *SMALL, "data=own"),
    "segmentation": (*NETWORK, "task=segmentation", "head=unet", "head.strides=[4,8]", "head.width=16", "data=own"),
}


def parts_of(task: str, *words: str, seed: int = 0) -> tuple[Parts, RunSettings, Callable[..., DataModule]]:
    """Parts, settings and data of a run of a tiny network with random weights."""
    settings = plainly(ftlab.compose([*OF[task], "data.batch_size=8", *words]), resolve=True)
    found = scenes(COUNTS)
    torch.manual_seed(seed)  # of the first weights
    parts = assemble(settings, found if task == "detection" else painted(found))
    own = typed(settings)
    return parts, own, partial(loaders, parts, own)


def painted(found: Splits) -> Splits:
    """The same images, each with the mask of its squares."""
    masks = {split: masked(samples) for split, samples in found.parts().items()}
    return Splits(masks["train"], masks["val"], masks["test"], Masks(("background", "dark", "light")))


def masked(samples: Samples) -> Samples:
    return Samples(samples.inputs, ArrayMasks([mask(one) for one in samples.targets.samples()]), samples.names)


def mask(one: Boxes) -> Tensor:
    """(h, w) of the boxes of one image, the later ones on top."""
    found = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    for box, label in zip(one["boxes"].long().tolist(), one["labels"].tolist(), strict=True):
        found[box[1] : box[3], box[0] : box[2]] = label + 1
    return found
