"""Whole groups in one split: what belongs together (one patient, one document, one scene) is not learned and judged.

Shapes: n samples, g groups, k classes.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.files.paths import printable
from ftlab.problems import Problem, problem

Parts = tuple[Tensor, Tensor, Tensor]


def numbered(names: Sequence[str]) -> Tensor:
    """(n,) a number for each different name, whatever the order of the rows."""
    number = {name: place for place, name in enumerate(sorted(set(names)))}
    return torch.tensor([number[name] for name in names], dtype=torch.int64)


class GroupPattern:
    """Groups by a regular expression on paths; what its first group matches names the group.

    Raises: UserError for what is no such expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.pattern = re.compile(text)
        except re.error as error:
            raise UserError(f"data.group_pattern={text}: no regular expression: {error}") from None
        if not self.pattern.groups:
            raise UserError(f"data.group_pattern={text}: no part in brackets names the group, as in ([^/_]+)_[0-9]+")

    def names(self, paths: Sequence[str]) -> tuple[list[str], list[Problem]]:
        """The group of each path (n,), and what is wrong with some; one that does not match is a group of its own.

        Raises: UserError if none matches.
        """
        found = [self.pattern.search(path) for path in paths]
        named = [None if match is None else match[1] for match in found]
        lost = [path for path, name in zip(paths, named, strict=True) if not name]
        if paths and len(lost) == len(paths):
            raise UserError(f"data.group_pattern={self.text}: none of {len(paths):,} files matches, such as {paths[0]}")
        names = [f"group {name}" if name else f"file {path}" for name, path in zip(named, paths, strict=True)]
        return names, problem("files lie outside of data.group_pattern", "warning", lost, "each is a group of its own")


def grouped(
    several: Mapping[str, Samples], pattern: GroupPattern, root: Path
) -> tuple[dict[str, Samples], list[Problem]]:
    """The samples of each split with their groups, which are the same in all."""
    parts = several.values()
    below = [printable(os.path.relpath(name, root)).replace(os.sep, "/") for part in parts for name in part.names]
    names, problems = pattern.names(below)
    numbers = numbered(names).split([len(part) for part in parts])
    return {split: replace(several[split], groups=own) for split, own in zip(several, numbers, strict=True)}, problems


def split_groups(groups: Tensor, strata: Tensor, shares: tuple[float, float, float], seed: int) -> Parts:
    """Indices of train, val and test, each sorted; groups (n,) and strata (n,), the classes.

    Greedy, the largest group first, those of one size in random order: each goes where it brings the classes nearest to
    their shares, as in scikit-learn's StratifiedGroupKFold, which knows equal folds only. Train gets every class.

    Raises: UserError where a split gets no group.
    """
    names, group_of = groups.unique(return_inverse=True)
    classes, stratum = strata.unique(return_inverse=True)
    size = len(names) * len(classes)
    counts = torch.bincount(group_of * len(classes) + stratum, minlength=size).view(len(names), len(classes))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    order = order[counts[order].sum(dim=1).argsort(descending=True, stable=True)]
    chosen = torch.tensor(places(counts[order].double().numpy(), shares))[order.argsort()]
    empty = [name for split, name in enumerate(("train", "val", "test")) if shares[split] and split not in chosen]
    if empty:
        raise UserError(
            f"data.split: none of the {len(names)} groups is left for {' and '.join(empty)}, as each stays whole and "
            "train gets every class; ask for fewer splits (a share of 0), or let groups be split (no group_column, no "
            "group_pattern)"
        )
    train, val, test = (torch.where(chosen[group_of] == split)[0] for split in range(3))
    return train, val, test


def places(counts: np.ndarray, shares: tuple[float, float, float]) -> list[int]:
    """The split, 0 to 2, of each group in turn; counts (g, k) of its samples of each class."""
    total = counts.sum(axis=0)
    off = -np.outer(shares, total)  # (3, k): what each split has beyond its share
    empty = [split for split in range(3) if shares[split]]
    found, left = [], (counts > 0).sum(axis=0)  # groups still to come that have a class
    in_train = np.zeros(len(total), dtype=bool)
    for place, own in enumerate(counts):
        has = own > 0
        worse = (own * (2 * off + own) / total).sum(axis=1)  # of the squared distances, as shares of a class
        worse[[not share for share in shares]] = np.inf
        split = int(worse.argmin())
        if (has & ~in_train & (left == 1)).any():  # the last of a class that train has not
            split = 0
        elif len(counts) - place <= len(empty) and split not in empty:
            split = empty[0]
        found.append(split)
        off[split] += own
        left = left - has
        empty = [other for other in empty if other != split]
        in_train |= has & (split == 0)
    return found


def across(splits: Splits) -> list[Problem]:
    """Groups of which several splits hold samples, as a split column may have it."""
    first: dict[int, str] = {}
    shared: dict[int, str] = {}  # a sample of each such group
    for split, samples in splits.parts().items():
        for index, group in enumerate(_of(samples)):
            if first.setdefault(group, split) != split:
                shared.setdefault(group, f"{samples.name(index)} ({split})")
    advice = "what is judged has been seen in part; let a group be in one split"
    return problem("groups are in more than one split", "warning", list(shared.values()), advice)


def _of(samples: Samples) -> list[int]:
    return [] if samples.groups is None else samples.groups.tolist()
