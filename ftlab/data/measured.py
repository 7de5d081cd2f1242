"""Data that are measured only: one of their splits, or all of them as one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.inputs.views import Joined
from ftlab.targets.base import Target

ALL = "all"  # all samples, whichever split they are in


def there(splits: Splits, first: str = "train") -> dict[str, Samples]:
    """The splits that hold samples, by name; train is called `first` where it is the only one."""
    found = {name: samples for name, samples in splits.parts().items() if len(samples)}
    return {first: found["train"]} if found.keys() == {"train"} else found


def only(splits: Splits, parts: Mapping[str, Samples], split: str) -> Splits:
    """The splits with one of `parts`, or all of them together, as the only one.

    Raises: UserError if there is no such split, or nothing at all.
    """
    if not parts:
        raise UserError("data: hold no samples to measure")
    if split != ALL and split not in parts:
        sizes = ", ".join(f"{name} ({len(samples)} samples)" for name, samples in parts.items())
        raise UserError(f"split={split}: the data have no such split; accepted: {sizes}, or {ALL}")
    samples = parts[split] if split != ALL else joined(list(parts.values()), splits.target)
    return replace(splits, train=samples, val=None, test=None, measured=split)


def joined(several: Sequence[Samples], target: Target) -> Samples:
    """The samples of several splits, one split after the other."""
    if len(several) == 1:
        return several[0]
    inputs, targets = Joined([part.inputs for part in several]), target.joined([part.targets for part in several])
    names = [part.name(place) for part in several for place in range(len(part))]
    groups, stretches = (_together(several, of) for of in ("groups", "stretches"))
    return Samples(inputs, targets, names, groups, stretches)


def _together(several: Sequence[Samples], of: str) -> Tensor | None:
    """(n,) the numbers of all, where all have them."""
    numbers = [getattr(part, of) for part in several]
    return None if any(one is None for one in numbers) else torch.cat(numbers)
