"""Splits and subsets by seed, stratified over the classes.

scikit-learn's stratified splits refuse a class of one sample and splits smaller than the number of classes, both
usual in a folder of one's own photos; here each class is cut on its own, so one of three or more is in every split.

Shapes: n samples, k classes.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ftlab.data.base import Drawn, Samples
from ftlab.data.groups import split_groups
from ftlab.errors import UserError
from ftlab.inputs.views import Selected
from ftlab.targets.base import Target, selected
from ftlab.targets.counted import FEWEST

SUBSET = "a fraction of the training split such as 0.1, a number of samples such as 300, or '20/class'"


def select(samples: Samples, indices: Tensor) -> Samples:
    """The samples at `indices` (m,), in that order."""
    places = indices.tolist()
    names = [samples.names[place] for place in places] if len(samples.names) else []
    groups, stretches = (None if one is None else one[indices] for one in (samples.groups, samples.stretches))
    inputs, targets = Selected(samples.inputs, places), selected(samples.targets, indices)
    return Samples(inputs, targets, names, groups, stretches)


def complete(
    target: Target, train: Samples, val: Samples | None, test: Samples | None, split: Sequence[float], seed: int
) -> tuple[Samples, Samples | None, Samples | None, tuple[str, ...]]:
    """(train, val, test, warnings): a validation split that a source lacks is split off train, by seed.

    Without val and test, `split` holds the shares of all three; with a test split of the source's own, only the ratio
    of its first two counts; where there is a val split, train stays whole, and so does one without samples.
    """
    shares = shares_of(split)
    if val is not None or (test is not None and not len(train)):  # of data that are measured only
        return train, val, test, ()
    together = () if train.groups is None else tuple(train.groups.tolist())
    if shares[0] == 1:
        return replace(train, drawn=Drawn(train, torch.arange(len(train)), shares, together)), val, test, ()
    if test is not None:
        both = shares[0] + shares[1]
        shares = (shares[0] / both, shares[1] / both, 0.0)
    strata = target.strata(train.targets)
    if train.groups is None:
        parts, warnings = split_indices(len(train), strata, shares, seed)
    else:
        even = torch.zeros(len(train), dtype=torch.int64) if strata is None else strata
        parts, warnings = split_groups(train.groups, even, shares, seed), ()
    if strata is None and target.at_random:
        warnings = (f"{target.at_random} are split at random, not stratified",)
    first, second, third = (
        replace(select(train, part), drawn=Drawn(train, part, shares, together)) if len(part) else None
        for part in parts
    )
    if first is None:
        raise UserError(f"data.split={list(split)} leaves nothing to train on: there are {len(train)} samples.")
    return first, second, third if test is None else test, warnings


def shares_of(split: Sequence[float]) -> tuple[float, float, float]:
    """Raises: UserError for what is not three shares of a whole."""
    good = len(split) == 3 and all(share >= 0 for share in split) and abs(sum(split) - 1) < 1e-6
    if not good or split[0] == 0:
        raise UserError(
            f"data.split={list(split)}: accepted are three shares, train (above 0), val and test, that add up to 1, "
            "for example [0.7,0.15,0.15]."
        )
    return split[0], split[1], split[2]


def split_indices(
    size: int, strata: Tensor | None, shares: tuple[float, float, float], seed: int
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[str, ...]]:
    """Indices of train, val and test, each sorted, and warnings.

    strata: (n,) of the `size` samples, cut class by class to the nearest whole number (at least one where there are
    three samples; smaller classes go to train); None: cut at random.
    """
    generator = torch.Generator().manual_seed(seed)
    warnings: tuple[str, ...] = ()
    if strata is None:
        cells = [torch.arange(size)]
    else:
        cells = [torch.where(strata == label)[0] for label in strata.unique()]
        small = sum(len(cell) < FEWEST for cell in cells)
        if small:
            warnings = (f"{small} of {len(cells)} classes have fewer than {FEWEST} samples and are in train only",)
    cuts = [_cut(cell[torch.randperm(len(cell), generator=generator)], shares) for cell in cells]
    train, val, test = (torch.cat(parts).sort().values for parts in zip(*cuts, strict=True))
    return (train, val, test), warnings


def _cut(group: Tensor, shares: tuple[float, float, float]) -> tuple[Tensor, Tensor, Tensor]:
    n = len(group)
    if n < FEWEST:
        return group, group[:0], group[:0]
    val, test = (max(1, round(share * n)) if share else 0 for share in shares[1:])
    while val + test >= n:  # a train share of next to nothing still keeps one sample
        val, test = (val - 1, test) if val > test else (val, test - 1)
    return group[val + test :], group[:val], group[val : val + test]


def subset(
    target: Target, samples: Samples, spec: str | float | int | None, seed: int
) -> tuple[Samples, tuple[str, ...]]:
    """Part of the training samples for few-shot runs and quick tries, and warnings. A smaller part is inside a larger.

    spec: a share (0.1), a number of samples (300), samples of each class ("20/class"), None for all. Classes keep
    their shares, none is lost; samples with labels or numbers are drawn at random.
    Raises: UserError for what is out of range.
    """
    if spec is None:
        return samples, ()
    each = re.fullmatch(r"(\d+)/class", str(spec).replace(" ", ""))
    strata = target.strata(samples.targets)
    if each:
        return _of_each_class(samples, strata, int(each[1]), seed), ()
    count = _count(spec, len(samples))
    if strata is None:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(samples), generator=generator)[:count].sort().values
        said = (f"subset={spec} is drawn at random: {target.at_random} are not stratified",) if target.at_random else ()
        return select(samples, chosen), said
    classes = len(strata.unique())
    if count < classes:
        raise UserError(f"subset={spec} is {count} samples, fewer than the {classes} classes; ask for more.")
    return select(samples, stratified_order(strata, seed)[:count].sort().values), ()


def _count(spec: str | float | int, size: int) -> int:
    try:
        number = float(spec)
    except ValueError:
        raise UserError(f"subset={spec}: accepted are {SUBSET}.") from None
    share = isinstance(spec, float) or (isinstance(spec, str) and not spec.strip().isdigit())
    count = round(number * size) if share and 0 < number <= 1 else number
    if isinstance(spec, bool) or not 1 <= count <= size or count != int(count):  # NaN is not in the range
        raise UserError(f"subset={spec}: accepted are {SUBSET}; there are {size} training samples.")
    return int(count)


def stratified_order(strata: Tensor, seed: int) -> Tensor:
    """A permutation (n,) of which every beginning holds each class in its share, one of each class first."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(strata), generator=generator)
    place = torch.empty(len(strata), dtype=torch.float64)
    for label in strata.unique():
        members = order[strata[order] == label]
        place[members] = torch.arange(len(members), dtype=torch.float64) / len(members)
    return order[place[order].argsort(stable=True)]


def _of_each_class(samples: Samples, strata: Tensor | None, each: int, seed: int) -> Samples:
    if strata is None:
        raise UserError(f"subset={each}/class needs one class a sample; for labels or numbers give a share or a count.")
    smallest = int(strata.unique(return_counts=True)[1].min())
    if not 1 <= each <= smallest:
        raise UserError(f"subset={each}/class: accepted is 1 to {smallest}, the size of the smallest class.")
    order = stratified_order(strata, seed)
    members = [order[strata[order] == label][:each] for label in strata.unique()]
    return select(samples, torch.cat(members).sort().values)
