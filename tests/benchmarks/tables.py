"""What a network that was trained on a table is worth for another target; in two minutes.

python -m tests.benchmarks.tables prints a Markdown table with the commands that gave it, which it runs in this process
in a folder that is thrown away. Tables against other learners: python -m tests.benchmarks.defaults.
"""

import contextlib
import csv
import io
import json
import os
import shlex
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from ftlab.cli import main

FEW = 100  # rows to fine-tune on


def run(command: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(shlex.split(command)[1:])
    if code:
        raise SystemExit(f"{command}\n{said.getvalue()}")


def figures(folder: str, metric: str) -> list[float]:
    """The test figure of each job of a multirun, in their order."""
    jobs = sorted(Path(folder).glob("*/report.json"), key=lambda path: int(path.parent.name))
    return [json.loads(path.read_text())["metrics"]["test"][metric] for path in jobs]


def summary(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def write_halves() -> None:
    """The pixels of digits as columns: one half of the rows with the digit, the other with whether it is odd."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    half = len(order) // 2
    for name, label, rows in (("first", "digit", order[:half]), ("second", "odd", order[half:])):
        with open(f"{name}.csv", "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*(f"pixel{i}" for i in range(64)), label])
            for row in rows:
                digit = int(data.target[row])
                target = f"d{digit}" if label == "digit" else ("odd" if digit % 2 else "even")
                writer.writerow([*map(int, data.data[row]), target])


def transfer() -> None:
    write_halves()
    first = "ftlab train data=table data.file=first.csv data.label_column=digit strategy=full"
    run(f"{first} hydra.run.dir=first")
    what = f"digits' 64 pixels as columns: odd or even, {FEW} rows of the second half, 3 seeds"
    print(f"\n| {what} | test accuracy |\n|---|---|")
    data = "data=table data.file=second.csv data.label_column=odd 'data.split=[0.3,0.1,0.6]'"
    second = f"ftlab train -m {data} subset={FEW} seed=0,1,2"
    for number, choice in enumerate((
        "", " strategy=full", " strategy=closed_form", " backbone.weights=first/bundle",
        " backbone.weights=first/bundle strategy=full", " backbone.weights=first/bundle strategy=closed_form",
    )):  # fmt: skip
        run(f"{second}{choice} hydra.sweep.dir=few{number}")
        print(f"| `{second}{choice}` | {summary(figures(f'few{number}', 'accuracy'))} |", flush=True)
    print(f"\nfirst/ is the run of `{first} hydra.run.dir=first`, on the first half, with another target.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        transfer()
