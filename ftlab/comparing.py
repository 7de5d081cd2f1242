"""ftlab compare: ways to fine-tune as the jobs of a multirun, and runs that are there side by side."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.config import options, plainly
from ftlab.errors import UserError, choices
from ftlab.files.writing import read_report, write_json, write_text
from ftlab.resume import changes

if TYPE_CHECKING:
    from torch import Tensor

EPOCHS = "trainer.max_epochs"
OWN = ("compare.", "runs=", "output=")
SWEPT = ("strategy", "seed", "subset")  # keys that a comparison gives its jobs itself
ALL = "all"


@dataclass(frozen=True)
class Settings:
    """The keys under `compare:`."""

    strategies: Sequence[str]
    seeds: int
    sizes: Sequence[Any]


def as_multirun(typed: Sequence[str], compare: Mapping[str, Any], seed: int, subset: Any) -> list[str]:
    """The words of `ftlab train -m` that train what is compared.

    One split serves all seeds, so that they can be paired. `trainer.max_epochs` is the budget of those strategies that
    ask for one; a fit in closed form takes its one epoch.

    Raises: UserError for a strategy that is none, and for what a comparison sets itself.
    """
    settings = Settings(**compare)
    for name in settings.strategies:
        if name not in options("strategy"):
            raise UserError(f"compare.strategies={name}: no such strategy; {choices(name, options('strategy'))}")
    for text in typed:
        if text.lstrip("+").startswith("strategy="):
            raise UserError(f"{text}: compare.strategies=[...] says what is compared; leave it out")
    sized = [str(size) for size in settings.sizes] != [ALL]
    if sized and subset is not None:
        raise UserError("subset=...: compare.sizes=[...] says how many samples are used; leave one of them out")
    words = [word for text in typed if not text.startswith((*OWN, "seed=")) for word in _budget(text)]
    words += [f"strategy={','.join(settings.strategies)}"]
    words += [f"seed={','.join(str(seed + n) for n in range(settings.seeds))}"]
    if sized:
        words.append(f"subset={','.join('null' if size == ALL else str(size) for size in settings.sizes)}")
    if not any(text.startswith("data.split_seed=") for text in typed):
        words.append(f"data.split_seed={seed}")
    return words


def _budget(text: str) -> list[str]:
    key, _, value = text.partition("=")
    if key != EPOCHS or value == "auto":
        return [text]
    return [f"trainer.auto_epochs.least={value}", f"trainer.auto_epochs.most={value}"]


def compare(config: Mapping[str, Any]) -> dict[str, Any]:
    """Print the runs that `config` names side by side; with `output` leave a page.

    Raises: UserError for a folder that holds no finished run, and for runs that judge by different figures.
    """
    from rich.console import Console

    from ftlab.measuring import new_place
    from ftlab.reports.compare_page import print_runs, write_runs

    settings = plainly(config, resolve=True)
    folders, output = [Path(folder) for folder in settings["runs"]], new_place(settings["output"])
    if len(folders) < 2:
        raise UserError("runs=...: expected at least two folders of runs")
    reports = {str(folder): read_report(folder) for folder in folders}
    found = {
        "schema_version": 1,
        "runs": {name: _told(report) for name, report in reports.items()},
        "config": different({name: report["config"] for name, report in reports.items()}),
        **samples(folders),
    }
    print_runs(found, Console())
    if output:
        output.mkdir(exist_ok=True)
        write_json(output / "compare.json", found)
        write_text(output / "compare.html", write_runs(found, reports))
        print(f"compare.html {output / 'compare.html'}")
    return found


def _told(report: Mapping[str, Any]) -> dict[str, Any]:
    memory = [phase["peak_memory_bytes"] for phase in report["phases"] if phase["peak_memory_bytes"] is not None]
    return {
        "objective": report["objective"],
        "metrics": report["metrics"],
        "intervals": report.get("intervals", {}),
        "seconds": sum(report["seconds"].values()),
        "peak_memory_bytes": max(memory, default=None),
        "trainable_parameters": max((phase["trainable_parameters"] for phase in report["phases"]), default=0),
        "sizes": report["data"]["sizes"],
    }


def different(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The keys in which the configs differ, each with its value in every run, as text."""
    from ftlab.resume import flat

    flattened = {name: flat(config) for name, config in configs.items()}
    first = next(iter(configs.values()))
    keys = sorted({key for other in configs.values() for key in changes(first, other)})
    return {key: {name: str(flattened[name].get(key, "-")) for name in configs} for key in keys}


def samples(folders: Sequence[Path]) -> dict[str, Any]:
    """Which samples of test one run gets right and another one wrong, and whether that is more than chance.

    Of tasks whose figure is a mean of right and wrong; `unpaired` says why there is nothing to pair.
    """
    judged = {str(folder): _judged(folder) for folder in folders}
    if None in judged.values():
        return {"pairs": [], "unpaired": "the task's figure is no share of samples that are right"}
    known = {name: one for name, one in judged.items() if one is not None}
    right, names = {name: one[0] for name, one in known.items()}, {name: one[1] for name, one in known.items()}
    pairs = [both for both in itertools.combinations(known, 2) if names[both[0]] == names[both[1]]]
    unpaired = [both for both in itertools.combinations(known, 2) if both not in pairs]
    said = {"unpaired": "other samples in test (data.split_seed keeps one split)"} if unpaired else {}
    return {"pairs": [_pair(right, *both, names[both[0]]) for both in pairs], **said}


def _judged(folder: Path) -> "tuple[Tensor, list[str]] | None":
    """(n,) whether each sample of the run's test split is right, and their names; None where that is no question."""
    from ftlab import bundle as bundles
    from ftlab.earlier import of_bundle
    from ftlab.measuring import measure
    from ftlab.predictor import load

    path = folder / "bundle"
    predictor, (description, _) = load(path), bundles.read(path, ())
    measured = of_bundle(None, None, "test", path, description, ())
    found = measure(predictor, measured, 64, 0)
    scores = found.evaluation.scores
    if scores is None or not bool(((scores == 0) | (scores == 1)).all()):
        return None
    name = found.data.samples("test").name
    return scores.cpu() == 1, [name(place) for place in range(len(scores))]


def _pair(right: Mapping[str, Any], left: str, other: str, names: Sequence[str]) -> dict[str, Any]:
    """McNemar's exact test: of the samples that one of both alone gets right, is either's share beyond a half?"""
    from scipy.stats import binomtest

    mine, theirs = right[left] & ~right[other], right[other] & ~right[left]
    apart = int(mine.sum()) + int(theirs.sum())
    p = float(binomtest(int(mine.sum()), apart).pvalue) if apart else 1.0
    return {
        "runs": [left, other],
        "both": int((right[left] & right[other]).sum()),
        "neither": int((~right[left] & ~right[other]).sum()),
        "only_first": [names[place] for place in mine.nonzero().flatten().tolist()],
        "only_second": [names[place] for place in theirs.nonzero().flatten().tolist()],
        "p": p,
        "test": "McNemar's exact test (scipy.stats.binomtest)",
    }


def check_read(typed: Sequence[str], runs: Sequence[str]) -> None:
    """Raises: UserError for what is not read with runs=[...], or without it."""
    for text in typed:
        key = text.partition("=")[0].lstrip("+")
        if runs and key not in ("runs", "output"):
            raise UserError(f"{text}: is not read with runs=[...], whose runs have been trained")
        if not runs and key == "output":
            raise UserError(f"{text}: is read with runs=[...]; runs that are trained lie in hydra.sweep.dir=DIR")
