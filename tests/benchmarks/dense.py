"""Boxes by ftlab beside a loop as one writes it by hand: python -m tests.benchmarks.dense [--rounds 3] [WORD ...]

Both train the same network on the same images, batches, starting weights, rate and epochs (strategy=full: nothing is
frozen, nothing is kept), and both judge val after each epoch, the loop by torchmetrics' own MeanAveragePrecision. Each
fit is a process of its own with one thread; they take turns. Seconds are CPU seconds of the fit; map is val's after the
last epoch. A WORD is one of ftlab's command line, for all. --frozen adds ftlab with the backbone frozen.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tests.benchmarks.speed import table

Figures = dict[str, Any]
PLAIN = ("task=detection", "strategy=full", "schedule=constant", "schedule.warmup=0", "optimizer.weight_decay=0",
         "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=6")  # fmt: skip
FROZEN = ("strategy=head_only",)
WAYS = {"ftlab": (), "bare loop": (), "ftlab, backbone frozen": FROZEN}


def by_ftlab(words: Sequence[str], folder: Path) -> Figures:
    """`ftlab train` as it is; seconds are of its fit, without report and bundle."""
    import ftlab
    from ftlab.training import fit as fitting

    whole, figures = fitting.fit, Figures()

    def timed(*arguments: Any) -> Any:
        return measured(lambda: whole(*arguments), figures)

    fitting.fit = timed
    report = ftlab.train(ftlab.compose([*words]), folder / "run")
    return {**figures, "map": report["history"][-1]["val"]["map"]}


def by_hand(words: Sequence[str], folder: Path) -> Figures:
    import ftlab
    from ftlab.assembly import assemble
    from ftlab.config import plainly
    from tests.benchmarks.peers.bare_boxes import fit

    settings, figures = plainly(ftlab.compose([*words]), resolve=True), Figures()
    parts = assemble(settings)
    found = measured(lambda: fit(parts, settings), figures)
    return {**figures, "map": found}


def measured(fit: Callable[[], Any], figures: Figures) -> Any:
    """What `fit` gives; its CPU seconds go into `figures`."""
    start = time.process_time()
    found = fit()
    figures["fit"] = time.process_time() - start
    return found


def in_process(way: str, words: Sequence[str]) -> Figures:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "tests.benchmarks.dense", "--one", way, *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads})
    if done.returncode:
        raise SystemExit(f"{way}\n{done.stdout}{done.stderr}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{way}: {found['fit']:.1f} s, map {found['map']:.3f}", file=sys.stderr, flush=True)
    return found


def compared(found: Mapping[str, Sequence[Figures]]) -> None:
    own = [one["fit"] for one in found["ftlab"]]
    rows = []
    for way, many in found.items():
        ratio = median(one["fit"] / first for one, first in zip(many, own, strict=True))
        seconds, figure = (median(one[kind] for one in many) for kind in ("fit", "map"))
        rows.append([way, f"{seconds:.1f}", "" if way == "ftlab" else f"{ratio:.2f}", f"{figure:.3f}"])
    table("boxes", ["fit, s", "/ ftlab", "val map"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dense", description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="of ftlab's command line, for all")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, taken in turn")
    parser.add_argument("--frozen", action="store_true", help="also with the backbone frozen, by ftlab")
    parser.add_argument("--one", choices=WAYS, help="measure one in this process, and print figures as JSON")
    given = parser.parse_args()
    if given.one:
        torch.set_num_threads(1)
        run = by_hand if given.one == "bare loop" else by_ftlab
        with tempfile.TemporaryDirectory() as folder:
            print("\n" + json.dumps(run([*PLAIN, *given.words, *WAYS[given.one]], Path(folder))))
        return
    ways = [way for way in WAYS if given.frozen or not WAYS[way]]
    found: dict[str, list[Figures]] = {way: [] for way in ways}
    for _ in range(given.rounds):
        for way in ways:
            found[way].append(in_process(way, given.words))
    compared(found)


if __name__ == "__main__":
    main()
