"""What a cell of the board is: a public data set, a row that is measured on it, a seed.

The row `default` is the untouched command; every other row learns from the samples that this command's train split
holds, may choose by its val split, and is judged on its test split.
"""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftlab
from ftlab.cli import main
from ftlab.data.base import Splits
from ftlab.data.module import describe
from ftlab.survey import surveyed

# Of scikit-learn's LogisticRegressionCV: what its version 1.9 warns that later ones will do.
PLAINLY: dict[str, Any] = {"scoring": "neg_log_loss", "l1_ratios": (0,), "use_legacy_attributes": False}
HIGHER = {"accuracy": True, "r2": True, "mae": False}


@dataclass(frozen=True)
class Set:
    """A data set as a person has it: files in a folder, and the words that name them."""

    name: str  # what is in it and how much, such as "fashion 300"
    kind: str  # image | table | sequence: which rows there are
    words: tuple[str, ...]  # typed after `ftlab train`, but for seed and the run's folder
    write: Callable[[Path], None]  # the files, the same at each call, into the folder in which the command runs
    metric: str = "accuracy"  # of the test split
    seeds: int = 3
    rows: tuple[str, ...] | None = None  # None: all of its kind


Row = Callable[[Set, int], float]  # runs in the folder of the set's files, with a seed; the figure of the test split


def splits(board: Set, seed: int) -> Splits:
    """What the untouched command trains on, chooses by, and is judged on."""
    config = ftlab.compose([*board.words, f"seed={seed}"])
    return describe(board.name, surveyed(config["data"], seed).splits, seed, config["subset"])[0]


def ours(*words: str) -> Row:
    """`ftlab train` with these words more."""

    def measured(board: Set, seed: int) -> float:
        folder = Path("run")
        code = main(["train", *board.words, *words, f"seed={seed}", f"hydra.run.dir={folder}"])
        if code:
            raise RuntimeError(f"{shlex.join(['ftlab', 'train', *board.words, *words])} ended with {code}")
        return float(json.loads((folder / "report.json").read_text())["metrics"]["test"][board.metric])

    return measured


def named(sets: Sequence[Set], name: str) -> Set:
    """Raises: SystemExit for a name that no set has."""
    for one in sets:
        if one.name == name:
            return one
    raise SystemExit(f"no set '{name}'; there are: {', '.join(one.name for one in sets)}")
