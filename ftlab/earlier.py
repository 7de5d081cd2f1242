"""The split of an earlier run that data are held against, where a run goes on and where a bundle is evaluated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftlab.bundle import Description
from ftlab.config import named, options, plainly
from ftlab.data.base import Splits
from ftlab.data.measured import ALL, only, there
from ftlab.data.membership import record
from ftlab.data.membership.dealing import in_train, membership
from ftlab.data.membership.digests import as_it_is
from ftlab.data.membership.holding import Held, Hold
from ftlab.data.sources.columns import is_seen
from ftlab.errors import UserError
from ftlab.patterns import shorten
from ftlab.survey import FRESH, loading_keys, option_of, split_seed, surveyed
from ftlab.targets.counted import in_order

DATA = "data"  # in resume_allow: that samples are others than those that the run was begun with


def of_run(folder: Path, settings: Mapping[str, Any], is_main: bool) -> Hold:
    """What the data of `ftlab train` are held against; only one of the processes of a run looks at files, and keeps."""
    if not settings["resume"]:
        return Hold(records=is_main, contents=is_main)
    strict = DATA not in settings["resume_allow"]
    return Hold(f"resume={folder}", record.read(folder), strict, records=is_main, contents=is_main)


def check_classes(folder: Path, before: Sequence[str] | None, now: Sequence[str], images: bool) -> None:
    """Raises: UserError where the outputs of a run that goes on mean other classes than those of the data.

    before: of its checkpoint; None: of an earlier version, which had classes of images that are numbers in the order of
    texts.
    """
    if before is None:
        in_numbers = images and list(now) == sorted(now, key=in_order)
        before = sorted(now) if in_numbers else now
    if list(before) != list(now):
        was, are = shorten(before), shorten(now)
        raise UserError(f"resume={folder}: its outputs are the classes {was}; those of the data are {are}; start anew")


# Keys of data options that say what is in a file; those of a group belong together.
OF_THE_FILE = (
    ("target_columns", "label_column", "multilabel", "label_separator"),
    ("window", "stride", "horizon"),
    ("series_column",), ("time_column",), ("token_column",), ("path_column",),
)  # fmt: skip
LEARNED = {
    "dates": "how dates are read and which columns hold them", "rare": "categories and tokens with an embedding",
    "index": "the columns that the network sees", "max_length": "the steps after which a sequence is cut off",
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What an evaluation measures."""

    data: str  # what they are, for a person
    splits: Splits  # with one split alone
    split: str  # its name
    sizes: Mapping[str, int]  # samples of each split that the data have
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Read:
    """Data on the way to what is measured of them."""

    name: str
    found: Held
    split: str
    own: bool  # whether they are those of the bundle's run, in its splits
    first: str = "train"  # what the train split is called
    root: str | None = None  # of files
    look: Callable[[Any], Any] = as_it_is  # what of a raw input the bundle's run knew it by


def of_bundle(
    node: Mapping[str, Any] | None,
    data: Splits | None,
    split: str | None,
    folder: Path,
    description: Description,
    trusted_modules: Sequence[str],
) -> Measured:
    """A split (None: test of the run's own data, all of others) of the user's own `data`, of those that `node` names,
    or (None) of those that a bundle was trained on, split as in its run.

    Raises: UserError for a split that is not there; where those were the user's own, which no config names.
    """
    kept = record.read(folder)
    if data is not None:
        sound = all(len(samples.inputs) == len(samples) for samples in data.parts().values())  # else refused below
        own = kept is not None and sound and membership(data, None, kept.content)[0].same(kept)
        return _measured(_Read("your own", Held(data), split or ("test" if own else ALL), own), kept, folder)
    trained = description.config.get("data")
    if not (node or trained):
        raise UserError("data=...: the bundle was trained on your own data, not an option's; say on which to evaluate")
    target_kind = str(description.targets.get("kind") or "")
    unchecked = {"check": "off", "on_error": "stop"}  # what bundles of before there were checks leave out
    asked = {**unchecked, **(completed(node, trained or {}) if node else {**(trained or {}), "split_from": None})}
    run_seed = description.config["seed"]
    seed = split_seed(trained or {}, run_seed)
    same = bool(trained) and source(asked) == source(trained or {})
    if not same and not asked.get("split_from"):
        told = _told_seed(asked, trained or {}, run_seed)
        others = _of_others(asked, split or ALL, seed, told, trusted_modules, target_kind)
        return _measured(replace(others, look=as_trained(trained or {})), kept, folder)
    own = same and not asked.get("split_from")
    hold = Hold(f"bundle={folder}", kept) if own else FRESH
    found = surveyed(asked, seed, trusted_modules=trusted_modules, hold=hold, target_kind=target_kind)
    return _measured(_Read(_told(asked), found, split or "test", own, root=asked.get("root")), kept, folder)


def completed(node: Mapping[str, Any], trained: Mapping[str, Any]) -> Mapping[str, Any]:
    """A data option that was asked for, with what `trained`, that of the bundle, says of the file where nothing is
    typed: its columns of targets, and those that order its rows.

    Raises: UserError for what was typed and only the bundle can say.
    """
    plain = plainly(node)
    shipped = next((one for one in options("data").values() if one.get("_target_") == plain["_target_"]), {})
    typed = {key for key, value in plain.items() if value != shipped.get(key)}
    same = plainly(trained).get("_target_") == plain["_target_"]
    theirs = {**plainly(trained)} if same and arrays(trained) == arrays(plain) else {}
    for key in sorted(typed & {*LEARNED}):
        if not same or plain[key] != trained.get(key, plain[key]):  # bundles of before say nothing
            raise UserError(f"data.{key}={plain[key]}: is not read here, {LEARNED[key]} are the bundle's; leave it out")
    open_keys = (key for group in OF_THE_FILE if not typed & {*group} for key in group)
    return {**plain, **{key: theirs[key] for key in open_keys if key in plain and key in theirs}}


def as_trained(trained: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Of a row, the columns that the run had seen: of another file more of them may be there."""
    own = {trained[key] for key in trained if key.endswith("_column")} | {*(trained.get("target_columns") or ())}

    def look(raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        names = (name for name in raw if name not in own)
        return {name: raw[name] for name in names if is_seen(name, trained.get("columns"), trained.get("drop"))}

    return look


def arrays(node: Mapping[str, Any]) -> bool:
    """Whether the file of a data option has no columns to name."""
    return str(node.get("file")).endswith(".npz")


def _of_others(
    asked: Mapping[str, Any], split: str, seed: int, told: str, trusted_modules: Sequence[str], target_kind: str
) -> _Read:
    """told: what a person calls the seed; target_kind: Source.target_kind."""
    reading = _shared(asked, split)
    found = surveyed(reading.node, seed, trusted_modules=trusted_modules, learned=False, target_kind=target_kind)
    said = reading.said
    if split in found.drawn and reading.node is asked:
        said = (*said, f"split={split} is drawn by {told}; split={ALL} measures all samples")
    found = replace(found, said=(*found.said, *said))
    return _Read(_told(asked), found, split, False, reading.first, asked.get("root"))


def _told_seed(asked: Mapping[str, Any], trained: Mapping[str, Any], run_seed: int) -> str:
    """The key that the seed of a split comes from: one that is asked for, the run's own of splits, or the run's."""
    for whose, node in (("", asked), ("the run's ", trained)):
        if node.get("split_seed") is not None:
            return f"{whose}data.split_seed={node['split_seed']}"
    return f"the run's seed {run_seed}"


def _measured(read: _Read, kept: record.Membership | None, folder: Path) -> Measured:
    whole, parts = read.found.splits, there(read.found.splits, read.first)
    splits = only(whole, parts, read.split)
    taken = list(parts) if read.split == ALL else [read.split]
    learned = ("train",) if kept is None else kept.trained
    if read.own:
        trained = sum(len(parts[name]) for name in taken if name in learned)
    else:
        trained = _trained(whole, kept, read, record.SPLITS if taken == list(parts) else taken)
    warned = [problem.text for problem in whole.problems if problem.severity == "warning" and not problem.learning]
    where = f"in the train split of bundle={folder} too"
    if len(learned) > 1:
        where = f"of {' and '.join(learned)}, which bundle={folder} has learned from together (refit=true)"
    also = [f"{trained:,} of the {len(splits.train):,} samples are {where}"]
    said = (*read.found.said, *whole.warnings, *warned, *(also if trained else []))
    return Measured(read.name, splits, read.split, {name: len(part) for name, part in parts.items()}, said)


def _trained(splits: Splits, kept: record.Membership | None, read: _Read, taken: Sequence[str]) -> int:
    """Samples of the splits `taken` that the run has learned from; none is known where only an index tells them."""
    if kept is None:
        return 0
    now, blind = membership(splits, read.root, kept.content, read.look)
    wanted = [record.SPLITS.index(split) for split in taken]
    return 0 if blind else int((in_train(now, kept) & np.isin(now.splits, wanted)).sum())


@dataclass(frozen=True)
class _Shared:
    """A data option as it is read to be measured."""

    node: Mapping[str, Any]
    first: str = "train"  # what its train split is called
    said: tuple[str, ...] = ()


def _shared(asked: Mapping[str, Any], split: str) -> _Shared:
    """Nothing is drawn by seed where all are measured, data.split gives all to one split, or a column decides."""
    shares, column = asked.get("split"), asked.get("split_column")
    if not isinstance(shares, list) or len(shares) != len(record.SPLITS):
        return _Shared(asked)
    undivided = {**asked, "split": [1, 0, 0]}
    if 1 in shares:
        return _Shared(undivided, "train" if column else record.SPLITS[shares.index(1)])
    if split != ALL and not column:
        return _Shared(asked)
    usual = [option.get("split") for option in options("data").values()]
    why = "all samples are measured; split=test measures a part" if split == ALL else f"column {column} says the splits"
    return _Shared(undivided, said=() if shares in usual else (f"data.split={shares} is not used: {why}",))


def _told(node: Mapping[str, Any]) -> str:
    """What a person calls the data of an option."""
    places = [str(node[key]) for key in ("file", "root", "dataset") if node.get(key)]
    return " ".join([option_of(node), *places[:1]])


def source(node: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that say where samples come from; those that an earlier version lacked as they are shipped now."""
    plain = plainly(node)
    shipped = next((one for one in options("data").values() if one.get("_target_") == plain.get("_target_")), {})
    idle = loading_keys(named(shipped) if shipped else None)
    return {key: value for key, value in {**shipped, **plain}.items() if key not in idle}
