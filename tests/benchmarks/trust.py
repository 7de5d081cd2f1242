"""The same checks on ftlab, Lightning's BackboneFinetuning and finetuning-scheduler, as a table:
python -m tests.benchmarks.trust

Each check is written once, for any Way (ways.py): it trains the same tiny network on the same digits, measures, and
says whether that is right. Nothing is timed. The figures are of this network and these rates; yours would have others.
"""

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from tests.benchmarks.checks import (
    Cell,
    buffers_stay,
    dropout_rests,
    equal_values_all_train,
    evaluation_freezes_nothing,
    last_window,
    old_momentum,
    quiet,
    ranks_are_equal,
    resume_after_the_thaw,
    thirteen_samples,
    trunk_as_evaluated,
    weighted_loss,
)
from tests.benchmarks.ways import SCHEDULER, Way, installed

Check = Callable[[Way, Path], Cell]
ALONE: dict[str, Check] = {
    "frozen BatchNorm: drift of its running statistics": buffers_stay,
    "frozen trunk: its output in training less that in evaluation, in its standard deviations": trunk_as_evaluated,
    "frozen trunk: dropout and drop path active": dropout_rests,
    "resumed after the thaw: what trains, distance from the uninterrupted run (2)": resume_after_the_thaw,
    "everything trains, some of it with equal values (LayerNorm): what moved (3)": equal_values_all_train,
    "last, incomplete window of accumulated batches: gradient over the true one": last_window,
    "frozen and thawed again, then a gradient of 0: moved by old momentum (4)": old_momentum,
    "`trainer.validate()` on a new module: what it froze (5)": evaluation_freezes_nothing,
}
TOGETHER: dict[str, Check] = {
    "2 processes: weights of rank 0 less those of rank 1, after phases 1 / 2 / 3 (1)": ranks_are_equal,
    "2 processes, 13 samples to validate on: how many count, accuracy told / true": thirteen_samples,
    "2 processes, class weights: distance from 1 process as a share of the step": weighted_loss,
}
NOTES = """\
1. BackboneFinetuning thaws the whole backbone in phase 2; the others thaw its last block in 2 and the rest in 3.
2. By `trainer.fit(ckpt_path=...)`, after two thaws. FinetuningScheduler begins at its first phase again and thaws one
   phase an epoch, which is right after a single thaw; it is right, too, if `trainer.ckpt_path` is set before
   `fit`, which Lightning's documentation does not ask for.
3. With a LayerNorm of the same width in the head, from the first epoch on. After an epoch of the head alone its values
   have moved, and BackboneFinetuning is right.
4. n/a: the other two have no phase that freezes what has trained.
5. `trainer.test()` does the same. What is then trained on without the callback stays frozen."""


def measure(check: Check, way: Way) -> Cell:
    with tempfile.TemporaryDirectory() as folder, quiet():
        return check(way, Path(folder))


def shown(cell: Cell) -> str:
    text, right = cell
    return text if right is None else f"{text}: {'right' if right else '**WRONG**'}"


def main() -> None:
    torch.set_num_threads(1)
    ways = installed()
    if SCHEDULER not in ways:
        print("finetuning-scheduler is not installed, so its column is left out: pip install -e '.[bench]'\n")
    print("| check |", " | ".join(heading(way) for way in ways), "|")
    print("|" + "---|" * (len(ways) + 1))
    for title, check in (TOGETHER | ALONE).items():
        print(f"| {title} |", " | ".join(shown(measure(check, way)) for way in ways), "|", flush=True)
    print(f"\n{NOTES}")


def heading(way: Way) -> str:
    return way.name if way.name == way.package else f"{way.name} ({way.package} {version(way.package)})"


if __name__ == "__main__":
    main()
