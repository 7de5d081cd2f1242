"""Data dealt again to the splits of an earlier run: pure functions of what is there now and what was there then.

Shapes: n samples of all splits, m those of the earlier run.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ftlab.data.base import Drawn, Samples, Splits
from ftlab.data.membership import digests
from ftlab.data.membership.digests import Content
from ftlab.data.membership.record import SPLITS, TYPES, Membership
from ftlab.data.splits import select
from ftlab.errors import UserError


@dataclass(frozen=True)
class Changes:
    """What differs between data and those of an earlier run."""

    total: int  # samples that are there now
    new: int
    gone: int
    changed: int  # files of another size, or with other bytes
    relabelled: int  # whose target is another one
    moved: int  # that the data itself has put into another split
    joined: tuple[int, ...]  # new samples in each split

    def __bool__(self) -> bool:
        return any((self.new, self.gone, self.changed, self.relabelled, self.moved))

    @property
    def text(self) -> str:
        where = ", ".join(f"{count:,} in {split}" for split, count in zip(SPLITS, self.joined, strict=True) if count)
        told = {
            f"new ({where})": self.new,
            "gone": self.gone,
            "changed in their files": self.changed,
            "labelled anew": self.relabelled,
            "moved to another split by the data itself": self.moved,
        }
        said = ", ".join(f"{count:,} {what}" for what, count in told.items() if count)
        return f"{said}; {self.total:,} samples are there"


def membership(
    splits: Splits,
    root: str | None = None,
    content: Content = "size",
    look: Callable[[Any], Any] = digests.as_it_is,
) -> tuple[Membership, bool]:
    """Which sample is in which split, and whether some are known by nothing but their index.

    look: what of a raw input tells it from others.
    """
    found: list[tuple[np.ndarray, ...]] = []
    blind = False
    for split, samples in splits.parts().items():
        inputs, places = samples.drawn.whole.inputs if samples.drawn else samples.inputs, _places(samples).tolist()
        known = digests.of_inputs(inputs, places, root, look)
        blind |= known is None
        known = digests.by_index(places, "" if samples.drawn else split) if known is None else known
        contents = digests.of_contents(inputs, places, content)
        targets = digests.of_targets(splits.target, samples.targets)
        found.append((np.full(len(samples), SPLITS.index(split), np.uint8), known, contents, targets))
    columns: Any = dict(zip(TYPES, map(np.concatenate, zip(*found, strict=True)), strict=True))
    return Membership(**columns, content=content), blind


def _places(samples: Samples) -> np.ndarray:
    """(n,) of the samples of a split, in what it was drawn from, else in itself."""
    return np.arange(len(samples)) if samples.drawn is None else samples.drawn.places.numpy()


@dataclass(frozen=True)
class Dealt:
    """Splits, what differs from the earlier run's, and how Membership.moved comes to describe them."""

    splits: Splits
    changes: Changes
    places: np.ndarray  # (n,) in SPLITS of each sample that there was
    order: np.ndarray  # (n,)


def dealt(splits: Splits, now: Membership, kept: Membership) -> Dealt:
    """The samples of `splits`, which `now` describes, in the splits of `kept`.

    What a seed chose goes to the split where it was, new samples join one by a hash; what the data itself has put into
    a split stays there. In each split known samples come first, in the order that they had.
    Raises: UserError if nothing is left to train on.
    """
    parts = list(splits.parts().values())
    drawn = np.concatenate([np.full(len(part), part.drawn is not None) for part in parts])
    sources = np.concatenate([_places(part) for part in parts])
    partner = partners(now, kept, ~drawn)
    places = now.splits.astype(np.int64)
    if drawn.any():
        before = np.where(partner < 0, -1, kept.splits[partner].astype(np.int64))
        places[drawn] = _chosen(splits, now.samples[drawn], sources[drawn], before[drawn])
    order = np.lexsort((sources, np.where(partner < 0, 0, partner), partner < 0, places))
    changes = compared(now, kept, partner, places)
    return Dealt(_arranged(splits, places[order], sources[order]), changes, places.astype(np.uint8), order)


def _chosen(splits: Splits, samples: np.ndarray, sources: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(n,) places in SPLITS of the samples that a seed chose; those that the data itself fills are not open to them."""
    open_to = [SPLITS.index(split) for split in SPLITS if split not in _given(splits)]
    draw = _draw(splits)
    assert draw is not None
    groups = np.array(draw.groups)[sources] if draw.groups else samples
    shares = [draw.shares[place] if place in open_to else 0.0 for place in range(len(SPLITS))]
    return joined(samples, groups, np.where(np.isin(before, open_to), before, -1), shares)


def _arranged(splits: Splits, places: np.ndarray, sources: np.ndarray) -> Splits:
    """The samples at `sources` (n,) of a split, or of what was drawn from, in the splits at `places` (n,)."""
    draw, found = _draw(splits), {}
    for place, split in enumerate(SPLITS):
        chosen = torch.from_numpy(sources[places == place])
        given = _given(splits).get(split)
        if given is not None:
            same = torch.equal(chosen, torch.arange(len(given)))
            found[split] = given if same else select(given, chosen)
        elif draw and len(chosen):
            found[split] = select(draw.whole, chosen)
    if "train" not in found:
        raise UserError("data: of the samples of the train split none is left")
    return splits.having(found)


def _given(splits: Splits) -> dict[str, Samples]:
    """The splits that the data itself says."""
    return {split: samples for split, samples in splits.parts().items() if samples.drawn is None}


def _draw(splits: Splits) -> Drawn | None:
    """What a seed chose from."""
    return next((samples.drawn for samples in splits.parts().values() if samples.drawn), None)


def partners(now: Membership, kept: Membership, given: np.ndarray) -> np.ndarray:
    """(n,) the place in `kept` of each sample, -1 for one that is new.

    Equal samples are known by their occurrence, the 1st as the 1st; first those whose target is the same too, and of a
    split that the data itself gives (`given`, (n,)) first those that were in it.
    """
    found = np.full(len(now), -1, np.int64)
    free = np.ones(len(kept), bool)
    for asked, columns in (
        (given, ("splits", "samples", "targets")),
        (given, ("splits", "samples")),
        (np.ones_like(given), ("samples", "targets")),
        (np.ones_like(given), ("samples",)),
    ):
        ours, theirs = np.flatnonzero((found < 0) & asked), np.flatnonzero(free)
        if not len(ours):
            continue
        there: dict[tuple[int, ...], deque[int]] = defaultdict(deque)
        for place, key in zip(theirs.tolist(), _keys(kept, columns, theirs), strict=True):
            there[key].append(place)
        for place, key in zip(ours.tolist(), _keys(now, columns, ours), strict=True):
            if there.get(key):
                found[place] = there[key].popleft()
        free[found[found >= 0]] = False
    return found


def in_train(now: Membership, kept: Membership) -> np.ndarray:
    """(n,) whether `kept` says that a sample was learned from, with the same target, a file with the same content."""
    columns = ("samples", "contents", "targets")
    known = set(_keys(kept, columns, np.flatnonzero(kept.learned)))
    return np.fromiter((key in known for key in _keys(now, columns, np.arange(len(now)))), bool, len(now))


def _keys(members: Membership, columns: Sequence[str], places: np.ndarray) -> zip:
    return zip(*(getattr(members, column)[places].tolist() for column in columns), strict=True)


def joined(samples: np.ndarray, groups: np.ndarray, before: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """(n,) the place in SPLITS of each sample: where it was (`before`, -1 for a new one), else where its group is.

    A group of which nothing is known joins a split by the digest of its first sample, in the shares given (of some of
    the splits, so they need not add up to 1). Nothing else counts, so what joins later changes nothing.
    """
    ends = np.cumsum(shares)
    homes: dict[int, int] = {}
    for group, place in zip(groups.tolist(), before.tolist(), strict=True):
        if place >= 0:
            homes.setdefault(group, place)
    found = before.copy()
    for place in np.flatnonzero(before < 0).tolist():
        fraction = (int(samples[place]) >> 11) / 2**53  # below 1 in any case
        by_hash = int(np.searchsorted(ends / ends[-1], fraction, side="right"))
        found[place] = homes.setdefault(groups[place].item(), by_hash)
    return found


def compared(now: Membership, kept: Membership, partner: np.ndarray, places: np.ndarray) -> Changes:
    """What differs, of samples that are in the splits `places` (n,) and were those at `partner` (n,) of `kept`."""
    known = partner >= 0
    theirs = partner[known]
    return Changes(
        total=len(now),
        new=int((~known).sum()),
        gone=len(kept) - len(theirs),
        changed=int((now.contents[known] != kept.contents[theirs]).sum()),
        relabelled=int((now.targets[known] != kept.targets[theirs]).sum()),
        moved=int((places[known] != kept.splits[theirs]).sum()),
        joined=tuple(int((places[~known] == place).sum()) for place in range(len(SPLITS))),
    )
