"""The data of a config, read and checked: the splits that a run takes, and what `ftlab check` tells of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

from ftlab.config import instantiate, named
from ftlab.data.base import DataSpec, Source, Splits
from ftlab.data.checks.check import check, settled
from ftlab.data.checks.targets import small
from ftlab.data.groups import across
from ftlab.data.membership import record
from ftlab.data.membership.holding import Held, Hold, held
from ftlab.data.module import describe
from ftlab.data.tiles import tiled
from ftlab.errors import UserError
from ftlab.inputs import kinds
from ftlab.problems import Problem, by_severity, of_faults

# Keys of a data option that say how batches are made, not where samples come from, whatever the kind of inputs.
LOADING = ("batch_size", "num_workers", "group_by_length", "check", "on_error", "split_from", "split_seed")
FRESH = Hold()


def split_seed(node: Mapping[str, Any], seed: int) -> int:
    """What draws split and subset of a data option in a run with `seed`."""
    own: int | None = node.get("split_seed")
    return seed if own is None else own


def surveyed(
    node: Mapping[str, Any],
    seed: int,
    data: Splits | None = None,
    trusted_modules: Sequence[str] = (),
    hold: Hold = FRESH,
    learned: bool = True,
    target_kind: str = "",
) -> Held:
    """The splits of a data option, or the user's own, held against those of an earlier run (that of data.split_from,
    unless `hold` names one) and checked as data.check says. `learned`, `target_kind`: see Source.

    Raises: UserError for samples that cannot be used, unless data.on_error=skip leaves them out; for data that differ
    where that is refused.
    """
    level, on_error, seed = node["check"], node["on_error"], split_seed(node, seed)
    if level == "off":
        if on_error == "skip":
            raise UserError("data.on_error=skip: needs a check to find what to skip; set data.check=fast or full")
        return _held(node, data or source_of(node, trusted_modules, learned, target_kind).read(seed), hold)
    found = _held(node, data or source_of(node, trusted_modules, learned, target_kind).survey(seed), hold)
    name = option_of(node) if data is None else "your own"
    # Only loading every image tells which of them cannot be used.
    checked = check(found.splits, "full" if on_error == "skip" else level, readers(node))
    return replace(found, splits=settled(found.splits, checked, name, on_error))


def _held(node: Mapping[str, Any], splits: Splits, hold: Hold) -> Held:
    asked, own = node.get("split_from"), node.get("split_seed")
    if asked and not hold.by:
        hold = replace(hold, by=f"data.split_from={asked}", kept=_kept(Path(asked).expanduser()), known=True)
    found = held(splits, hold, node.get("root"), "bytes" if node["check"] == "full" else "size")
    if asked and hold.kept and "val" in hold.kept.trained:
        knows = "that run has learned from val too (refit=true), whose figures flatter what begins with its weights"
        found = replace(found, said=(*found.said, f"data.split_from={asked}: {knows}"))
    if own is None or any(samples.drawn for samples in splits.parts().values()):
        return found
    idle = f"data.split_seed={own} draws no split: the data themselves say which sample is in which"
    return replace(found, said=(*found.said, idle))


def _kept(folder: Path) -> record.Membership:
    """Raises: UserError for a folder that keeps no split."""
    kept = record.read(folder)
    if kept is None:
        raise UserError(
            f"data.split_from={folder}: no split there ({record.FILE} is missing); accepted: the folder of a run, or "
            "its bundle/; one of an earlier version keeps none"
        )
    return kept


@dataclass(frozen=True)
class Findings:
    """What `ftlab check` tells."""

    name: str
    sizes: dict[str, int]  # samples of each split, those that cannot be used included
    problems: list[Problem]
    cache: str | None = None  # the file that keeps the result


def problems_of(
    node: Mapping[str, Any],
    seed: int,
    data: Splits | None = None,
    trusted_modules: Sequence[str] = (),
    subset: str | float | int | None = None,
    hold: Hold = FRESH,
    begin: Callable[[Splits, DataSpec], Sequence[str]] = lambda splits, spec: (),
    target_kind: str = "",
) -> Findings:
    """All that is wrong with a data option, or the user's own data, errors first.

    `begin` is given the samples that a run would take; it says what there is to know of them, and raises UserError for
    what the run would refuse.

    Raises: UserError for data.check=off.
    """
    if node["check"] == "off":
        raise UserError("data.check=off: there is nothing to do; accepted here: fast, full")
    name, seed = option_of(node) if data is None else "your own", split_seed(node, seed)
    try:
        found = _held(node, data or source_of(node, trusted_modules, target_kind=target_kind).survey(seed), hold)
    except UserError as error:  # nothing can be said of the samples of data that cannot be read as a whole
        return Findings(name, {}, [Problem(str(error), "error", 1)])
    splits = found.splits
    checked = check(splits, node["check"], readers(node))
    faults = [*splits.faults, *(fault for found in checked.faults.values() for fault in found.values())]
    problems = [*of_faults(faults), *splits.problems, *checked.problems]
    problems += [*splits.target.problems(splits.targets()), *across(splits)]
    size, said = len(splits.train), [*splits.warnings, *found.said]
    try:
        good = settled(splits, checked, name, "skip")
        taken, spec = describe(name, cut := in_tiles(good, node), seed, subset)
        said += cut.warnings[len(good.warnings) :]
        size = len(taken.train)
        said += begin(taken, spec)
    except UserError as error:
        problems.append(Problem(str(error), "error", 1))
    problems += [*small(size, node["batch_size"]), *(Problem(text, "warning", 1) for text in said)]
    sizes = {split: len(samples) for split, samples in splits.parts().items()}
    return Findings(name, sizes, by_severity(problems), str(checked.cache) if checked.cache else None)


def in_tiles(splits: Splits, node: Mapping[str, Any]) -> Splits:
    """The splits as the data option wants large inputs cut. Raises: UserError for what cannot be cut."""
    return tiled(splits, kinds.of(splits.kind).cutter(node))


def readers(node: Mapping[str, Any]) -> int:
    """Processes that check files; data.num_workers=auto is found only later, by loading samples that were checked."""
    return 0 if node["num_workers"] == "auto" else node["num_workers"]


def source_of(
    node: Mapping[str, Any], trusted_modules: Sequence[str], learned: bool = True, target_kind: str = ""
) -> Source:
    made = named(node, trusted_modules)  # imports the user's own module, and with it the kinds that it defines
    settings = {k: v for k, v in node.items() if k not in loading_keys(made)}
    source: Source = instantiate(settings, trusted_modules=trusted_modules)
    source.learned, source.target_kind = learned, target_kind
    return source


def target_kind_of(task: Mapping[str, Any], trusted_modules: Sequence[str]) -> str:
    """Target.kind that a task's option takes; "" where only the task itself knows."""
    takes = getattr(named(task, trusted_modules), "takes", None)
    return getattr(takes, "kind", "")


def loading_keys(source: Callable[..., Any] | None = None) -> tuple[str, ...]:
    """All keys of data options that no source reads; of one source: that it does not read, as `stride` is of sequences'
    and not of texts'."""
    own = signature(source).parameters if source else {}
    return tuple(key for key in (*LOADING, *kinds.loading()) if key not in own)


def option_of(node: Mapping[str, Any]) -> str:
    """What is typed after data=."""
    return str(node["_target_"]).split(".")[-2]
