"""What freezing buys, ftlab beside its peers, as Markdown tables:
python -m tests.benchmarks.speed [CASE ...] [--rounds 3]

Cases: head, views, phases, disk, growth, exact. Fashion-MNIST (Debian's package dataset-fashion-mnist; scikit-learn's
digits where that is absent) at 64 pixels, tf_efficientnet_lite0 with ImageNet weights, batches of 32, one thread, no
validation; the same images, batches, starting weights, rates and epochs for all (job.py). Every fit is a process of
its own (measure.py); the peers take turns, and each figure is the median of the rounds. `/ ftlab` is a peer's figure
over ftlab's. Seconds are CPU seconds of the fit, and of the whole process up to its end with all imports (for ftlab
with its report and its bundle); + MB is by how much the fit raised the resident size. The accuracy is of 1,000 test
images that are evaluated after that. pip install -e '.[bench]' brings the peers; one that is absent is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tests.benchmarks.job import Job, write

HEAD = ((10, 0),)
PHASES = ((2, 0), (2, 2), (1, 4))  # epochs, and how many of the last stages train beside the head
NEEDS = {"finetuning-scheduler": "finetuning_scheduler", "fastai": "fastai"}
ALL = ("ftlab", "bare", "lightning", "finetuning-scheduler", "fastai")
NAMES = {
    "bare": "bare loop, no_grad prefix",
    "lightning": "Lightning, BackboneFinetuning",
    "scikit-learn": "scikit-learn, on features",
}
DTYPES = ("float32", "float16", "bfloat16", "uint8")
Figures = dict[str, Any]


@dataclass
class Place:
    """Where a session of measurements keeps its files."""

    folder: Path
    count: int = 0

    def images(self, train: int, test: int = 1000) -> str:
        root = self.folder / f"images-{train}-{test}"
        if not root.exists():
            write(root, train, test)
        return str(root)

    def measure(self, job: Job, cache: str | None = None) -> Figures:
        """What measure.py says of a job, and the weights of its head; `cache` is a folder to share between jobs."""
        self.count += 1
        folder = self.folder / f"job-{self.count}"
        folder.mkdir()
        own = {"FTLAB_CACHE": cache or str(folder / "cache"), "FASTAI_HOME": str(folder)}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        said = json.dumps(asdict(replace(job, folder=str(folder))))
        command = [sys.executable, "-m", "tests.benchmarks.measure", said]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads, **own})
        if done.returncode:
            raise SystemExit(f"{job}\n{done.stdout}{done.stderr}")
        head = torch.load(folder / "head.pt", weights_only=True)
        return {**json.loads(done.stdout.splitlines()[-1]), "head": head}


def interleaved(place: Place, jobs: Mapping[str, Job], rounds: int) -> dict[str, Figures]:
    """Medians of what the jobs measured, in turn."""
    found: dict[str, list[Figures]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            found[name].append(place.measure(job))
            print(f"{name}: {found[name][-1]['fit']:.2f} s", file=sys.stderr, flush=True)
    kinds = ("fit", "whole", "memory", "accuracy")
    return {
        name: {**many[-1], **{k: median(one.get(k, 0) for one in many) for k in kinds}} for name, many in found.items()
    }


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip((title, *columns), *rows, strict=True)]
    print("\n" + "| " + " | ".join(text.ljust(w) for text, w in zip((title, *columns), widths, strict=True)) + " |")
    print("|" + "-" * (widths[0] + 2) + "|" + "".join("-" * (w + 1) + ":|" for w in widths[1:]))
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(text.rjust(w) for text, w in zip(rest, widths[1:], strict=True))]
        print("| " + " | ".join(cells) + " |", flush=True)


def beside(title: str, found: Mapping[str, Figures]) -> None:
    """Peers under ftlab, each figure with its ratio."""
    own = found["ftlab"]
    rows = []
    for name, one in found.items():
        row = [NAMES.get(name, name)]
        for kind, shown in (("fit", f"{one['fit']:.2f}"), ("whole", f"{one['whole']:.1f}"), ("memory", mb(one))):
            row += [shown, f"{one[kind] / own[kind]:.1f}" if one is not own else ""]
        rows.append([*row, f"{one['accuracy']:.3f}"])
    table(title, ["fit, s", "/ ftlab", "whole, s", "/ ftlab", "+ MB", "/ ftlab", "accuracy"], rows)


def mb(figures: Figures) -> str:
    return f"{figures['memory'] / 1e6:.0f}"


def peers(place: Place, names: Sequence[str], phases: tuple[tuple[int, int], ...], **more: Any) -> dict[str, Job]:
    there = [name for name in names if name not in NEEDS or find_spec(NEEDS[name])]
    return {name: Job(name, place.images(300), "", phases, **more) for name in there}


# --- cases


def head(place: Place, rounds: int) -> None:
    found = interleaved(place, peers(place, (*ALL, "scikit-learn"), HEAD), rounds)
    beside("head only, 10 epochs", found)


def views(place: Place, rounds: int) -> None:
    """augment=light for all; ftlab keeps 4 variants of each image and goes through them."""
    jobs = peers(place, ("ftlab", "bare", "lightning"), HEAD, augmented=True)
    jobs["ftlab"] = replace(jobs["ftlab"], words=("cache.views=4",))
    beside("head only, augmented, 4 views", interleaved(place, jobs, rounds))


def phases(place: Place, rounds: int) -> None:
    """The head; the last two stages as well; the last four."""
    beside("three phases, 2 + 2 + 1 epochs", interleaved(place, peers(place, ALL, PHASES), rounds))


def disk(place: Place, rounds: int) -> None:
    """2,000 images, the head alone; the second run finds what the first has kept on disk."""
    job = Job("ftlab", place.images(2000), "", HEAD, words=("cache=disk",))
    runs: dict[str, list[Figures]] = {"cache=off": [], "first run": [], "second run": []}
    for number in range(rounds):
        cache = str(place.folder / f"cache-{number}")
        runs["cache=off"].append(place.measure(replace(job, words=("cache=off",))))
        runs["first run"].append(place.measure(job, cache))
        runs["second run"].append(place.measure(job, cache))
    seconds = {name: median(one["fit"] for one in many) for name, many in runs.items()}
    rows = []
    for name, many in runs.items():
        ratio = f"{seconds[name] / seconds['second run']:.1f}"
        rows.append([name, f"{seconds[name]:.2f}", ratio, f"{many[-1]['accuracy']:.3f}"])
    table("cache=disk, 2,000 images", ["fit, s", "/ second", "accuracy"], rows)


def growth(place: Place, rounds: int) -> None:
    """The labels are drawn at random over so many classes: what is timed does not depend on them."""
    kinds = {(count, 10): None for count in (500, 2000, 8000)} | {(2000, k): k for k in (100, 1000)}
    jobs = {f"{n}, {k}": Job("ftlab", place.images(n, 10), "", HEAD, classes=k) for n, k in kinds}
    found = interleaved(place, jobs, rounds)
    rows = []
    for (count, classes), one in zip(kinds, found.values(), strict=True):
        each = 1000 * one["fit"] / count
        rows.append([f"{count:,}", f"{classes:,}", f"{one['fit']:.2f}", f"{each:.2f}", mb(one)])
    table("images", ["classes (drawn)", "fit, s", "ms an image", "+ MB"], rows)


def exact(place: Place, rounds: int) -> None:
    """What keeping values changes, against the same run with cache=off; the bare loop, which computes that in another
    order, says what rounding alone makes of these weights."""
    rows = []
    for what, plan in (("head only", HEAD), ("three phases", PHASES)):
        job = Job("ftlab", place.images(300), "", plan)
        off = place.measure(replace(job, words=("cache=off",)))
        others = {t: replace(job, words=("cache=memory", f"cache.dtype={t}")) for t in DTYPES}
        for name, other in {**others, "bare loop": replace(job, peer="bare")}.items():
            one = place.measure(other)
            apart = max(float((one["head"][k] - off["head"][k]).abs().max()) for k in off["head"])
            differ = sum(a != b for a, b in zip(one["predictions"], off["predictions"], strict=True))
            rows.append([f"{what}, {name}", f"{apart:.1e}", str(differ), f"{one['accuracy']:.3f}"])
        rows.append([f"{what}, cache=off", "", "", f"{off['accuracy']:.3f}"])
    table("kept in", ["head's weights apart", "other predictions of 1,000", "accuracy"], rows)


CASES: dict[str, Callable[[Place, int], None]] = {
    "head": head, "views": views, "phases": phases, "disk": disk, "growth": growth, "exact": exact,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, taken in turn")
    given = parser.parse_args()
    for case in given.cases:
        if case not in CASES:
            parser.error(f"{case}: there is no such case; accepted: {', '.join(CASES)}")
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for case in given.cases:
            CASES[case](place, given.rounds)


if __name__ == "__main__":
    main()
