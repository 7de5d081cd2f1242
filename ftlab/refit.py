"""A second fit of a run: what val chose is trained anew on the samples of train and val together.

The epochs are those of the first fit up to the chosen one, with its phases and rates (Goodfellow, Bengio and Courville
2016, "Deep Learning", algorithm 7.2, which counts steps; with epochs each sample is seen as often as it was).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ftlab.assembly import Parts, put_together
from ftlab.backbones.base import Backbone
from ftlab.data.measured import joined
from ftlab.data.module import DataModule, describe
from ftlab.finishing import say
from ftlab.resume import LAST, is_unasked, went_on
from ftlab.run_settings import RunSettings
from ftlab.survey import split_seed

if TYPE_CHECKING:  # they import torch's Trainer
    from ftlab.evaluation import Evaluation
    from ftlab.training.fit import Fitted

TRAINED = ("train", "val")
JUDGED = ("val", "test")


def parts_of(parts: Parts, config: Mapping[str, Any], backbone: Backbone | None) -> Parts:
    """The parts of the second fit: what is fitted to train in those of the first is fitted to both splits.

    backbone: the user's own, as it was before the first fit; None: the config's.
    """
    train, val = parts.splits.train, parts.splits.val
    assert val is not None, "assembly asks for one"
    both = replace(parts.splits, train=joined([train, val], parts.splits.target), val=None)
    splits, spec = describe(parts.spec.name, both, split_seed(config["data"], config["seed"]))
    made = put_together(config, splits, spec, backbone, phases=parts.phases)
    return replace(made, membership=parts.membership and replace(parts.membership, trained=TRAINED))


def planned(parts: Parts, wanted: bool) -> list[str]:
    """What the plan says of it."""
    if not wanted:
        return []
    samples = sum(parts.spec.sizes[split] for split in TRAINED)
    return [f"refit: then anew on train and val together, {samples:,} samples, up to the epoch that val has chosen"]


def run(
    first: "Fitted", parts: Parts, make_data: Callable[..., DataModule], folder: Path, console: Console
) -> "Fitted":
    """The second fit, in a folder of its own in the run's; one that was interrupted goes on there."""
    from ftlab.training.fit import fit
    from ftlab.training.saving.files import REFIT

    own, epochs = folder / REFIT, len(first.chosen)
    say([f"refit: epochs 1 to {epochs} anew on train and val together, {parts.spec.sizes['train']:,} samples"], console)
    settings: RunSettings = replace(first.settings, resumes=(own / LAST).is_file())
    return fit(replace(parts, follows=first.chosen), settings, make_data, own, console)


def evaluated(fits: Sequence["Fitted"]) -> dict[str, "Evaluation"]:
    """Each split by the last of the fits that did not train on it: val by the one that it chose, test by the last.

    Val then settles what is left to it.
    """
    judges = {split: one for one in fits for split in JUDGED if split in one.parts.spec.sizes}
    found = {split: one.evaluate(split) for split, one in judges.items()}
    if "val" in found and (diagnosis := found["val"].diagnosis) is not None:
        for one in fits:
            one.parts.task.settle(diagnosis.compute())
    return found


def told(fits: Sequence["Fitted"], report: Mapping[str, Any]) -> dict[str, Any]:
    """What report.json says of the second fit, and the warnings with its own; nothing where there is none."""
    if len(fits) == 1:
        return {}
    from ftlab.training.saving.nonfinite import warnings as recovered

    tuner = fits[-1].finetuner
    kept = ("epoch", "phase", "seconds", "steps", "train", "convex")
    history = [{key: record[key] for key in kept if key in record} for record in tuner.history]
    own = [*map(went_on, filter(is_unasked, tuner.resumed)), *recovered(tuner.recovery.events)]
    return {
        "refit": {"samples": fits[-1].parts.spec.sizes["train"], "epochs": len(history), "history": history},
        "warnings": [*report["warnings"], *(f"refit: {text}" for text in own)],
    }
