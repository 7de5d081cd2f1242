"""Objects that a network can hardly find: those that its input shows too small, or not at all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ftlab.data.base import Samples, Splits
from ftlab.inputs.base import InputPreprocessing
from ftlab.problems import counted
from ftlab.targets.base import Target

SMALL = 4.0  # pixels of the network's input, of the shorter side
LOOKED = 1000  # inputs of a split that are looked at


def unseen(splits: Splits, preprocessing: InputPreprocessing) -> tuple[str, ...]:
    """Warnings of each split; none of targets without objects, and of inputs whose sizes are not known."""
    if not splits.target.follows:
        return ()
    found, plural = [], splits.target.plural
    for split, samples in splits.parts().items():
        sides = torch.cat([torch.zeros(0), *_sides(samples, splits.target, preprocessing)])
        small, gone = int(((sides > 0) & (sides < SMALL)).sum()), int((sides == 0).sum())
        few = f" in {LOOKED:,} {preprocessing.plural} that were looked at" if len(samples) > LOOKED else ""
        of = f"of the network, of {len(sides):,} {plural} of {split}{few}"
        if small:
            under = counted(small, f"{plural} are under {SMALL:g} pixels")
            found.append(f"{small:,} {under} in the {preprocessing.summary()} {of}; raise data.image_size")
        if gone:
            found.append(f"{gone:,} {counted(gone, f'{plural} are not seen')} in the {preprocessing.summary()} {of}")
    return tuple(found)


def _sides(samples: Samples, target: Target, preprocessing: InputPreprocessing) -> Iterator[Tensor]:
    for place in range(0, len(samples), max(1, -(-len(samples) // LOOKED))):
        if frame := preprocessing.frame(samples.inputs, place):
            yield target.sides(samples.targets[place], frame)
