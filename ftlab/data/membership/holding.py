"""Data held against the split of an earlier run: what is said of it, and what is refused."""

from dataclasses import dataclass, replace

from ftlab.data.base import Splits
from ftlab.data.checks.repeats import repeated_again
from ftlab.data.membership.dealing import dealt, membership
from ftlab.data.membership.digests import Content
from ftlab.data.membership.record import FILE, Membership
from ftlab.errors import UserError

BLIND = (
    "the samples are known by their index alone: a data set of Python's is not read to tell them apart, so one that "
    "is put in between, or taken out, is not seen"
)
RULE = "known samples stay in the split that they were in, new ones join one by a hash"


@dataclass(frozen=True)
class Hold:
    """What data are held against, and what is kept of them."""

    by: str = ""  # who keeps the split, as a message says it: "resume=runs/x"; nobody: a fresh draw
    kept: Membership | None = None  # None: of an earlier version, which kept none
    strict: bool = False  # whether other data are refused
    known: bool = False  # whether some of the samples must be known
    records: bool = False  # whether it is asked which sample is in which split
    contents: bool = True  # whether files are looked at; False: another process does


@dataclass(frozen=True)
class Held:
    """Splits as they are to be used."""

    splits: Splits
    membership: Membership | None = None  # where it was asked for
    said: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()  # the splits that a seed chose, where nothing was kept of an earlier choice


def held(splits: Splits, hold: Hold, root: str | None, content: Content) -> Held:
    """The splits as `hold.kept` has them, where a seed drew them. `root`: of files; `content`: what is kept of these.

    Raises: UserError for data that differ where that is refused, or of which nothing is known.
    """
    if any(len(samples.inputs) != len(samples) for samples in splits.parts().values()):
        return Held(splits)  # which is refused as soon as it is described
    own, blind = membership(splits, root, content) if hold.records else (None, False)
    said: tuple[str, ...] = (BLIND,) if blind else ()
    if hold.kept is None:
        lost = f"{hold.by} keeps no split ({FILE} is missing; it is of an earlier version): the data cannot be held "
        said += (f"{lost}against those of the run, and a seed draws the split",) if hold.by else ()
        drawn = tuple(split for split, samples in splits.parts().items() if samples.drawn is not None)
        return Held(_settled(splits), own, said, drawn)
    looked = hold.kept.content if hold.contents else "none"
    now = own if own and own.content == looked else membership(splits, root, looked)[0]
    if now.same(hold.kept):
        return Held(_settled(splits), own, said)
    found = dealt(splits, now, hold.kept)
    if hold.strict and found.changes:
        raise UserError(
            f"{hold.by}: the data are not those that the run was begun with: {found.changes.text}. Put them back, or "
            f"add data to resume_allow=[...]: {RULE}"
        )
    if hold.known and found.changes.new == len(now):
        raise UserError(
            f"{hold.by}: none of the {len(now):,} samples is one of the {len(hold.kept):,} there; give a run on the "
            "same files, or on rows with the same columns"
        )
    told = f"the data are not those of {hold.by}: {found.changes.text}; {RULE}"
    if not found.changes:
        told = f"the split is that of {hold.by}, which a seed would draw otherwise"
    again = replace(found.splits, problems=repeated_again(found.splits))
    return Held(_settled(again), own and own.moved(found.places, found.order), (*said, told))


def _settled(splits: Splits) -> Splits:
    """The splits without what another choice would need."""
    plain = {split: replace(samples, drawn=None) for split, samples in splits.parts().items()}
    return splits.having(plain)
