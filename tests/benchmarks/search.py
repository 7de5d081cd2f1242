"""What a search finds, and what pruning saves: TPE against random trials, and pruned trials against whole ones.

    python tests/benchmarks/search.py FOLDER [--trials 30] [--searches 3] [--quick]

Prints a table: for each way the best figures of val of each search, their median, and the CPU seconds of the command
(`resource.getrusage` of the children). --quick: a table of numbers instead of images, seconds instead of minutes.
"""

import argparse
import csv
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

IMAGES = (
    "data=digits", "subset=200", "data.image_size=48", "trainer.max_epochs=6", "data.split_seed=0",
    "strategy=lp_ft,full",
    "head=linear,mlp", "optimizer.lr=tag(log,interval(1e-5,1e-2))", "optimizer.weight_decay=tag(log,interval(1e-4,1))",
)  # fmt: skip
QUICK = (
    "data=diabetes", "task=regression", "trainer.max_epochs=6", "data.split_seed=0", "strategy=full",
    "optimizer.lr=tag(log,interval(1e-6,1e-1))", "optimizer.weight_decay=tag(log,interval(1e-4,1))",
)  # fmt: skip
WAYS = {
    "random": ("sweep.sampler=random",),
    "tpe": ("sweep.sampler=tpe",),
    "tpe, median": ("sweep.sampler=tpe", "sweep.pruner=median"),
    "tpe, hyperband": ("sweep.sampler=tpe", "sweep.pruner=hyperband"),
}


def search(folder: Path, words: tuple[str, ...], trials: int, seed: int) -> tuple[float, float]:
    """The best objective, and the CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-m", "ftlab", "train", "-m", "hydra/sweeper=optuna", f"sweep.trials={trials}"]
    subprocess.run([*line, f"seed={seed}", f"hydra.sweep.dir={folder}", *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / "sweep.csv", newline="") as file:
        values = [float(row["objective"]) for row in csv.DictReader(file) if row["objective"]]
    return max(values), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    space = QUICK if given.quick else IMAGES
    print(f"{'way':<16}{'best of each search':<32}{'median':>8}{'CPU s':>9}")
    for way in given.ways:
        folders = [given.folder / f"{way.replace(', ', '-')}-{seed}" for seed in range(given.searches)]
        found = [search(folder, (*space, *WAYS[way]), given.trials, seed) for seed, folder in enumerate(folders)]
        bests = "  ".join(f"{best:.4f}" for best, _ in found)
        seconds = sum(spent for _, spent in found)
        print(f"{way:<16}{bests:<32}{median(best for best, _ in found):>8.4f}{seconds:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
