"""The last layer in closed form: against one pass over the images, and against scikit-learn's LogisticRegressionCV.

    python -m tests.benchmarks.closed_form [--images 2000] [--rounds 3]

Fashion-MNIST (Debian's package dataset-fashion-mnist), the default network at 64 pixels. CPU seconds of this process;
the least of the rounds, whose parts take turns.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit

import ftlab
from ftlab.assembly import Parts, assemble
from ftlab.config import plainly
from ftlab.convex.logistic import CANDIDATES, FOLDS, TOLERANCE, logistic, parts
from ftlab.convex.standardised import Standardised
from ftlab.run import loaders
from ftlab.run_settings import RunSettings, typed
from ftlab.training.phases.features import FeatureStore, compute
from tests.benchmarks.foundation import fitted

TESTED = 2000  # images to judge by


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def built(images: int, root: str) -> tuple[Parts, dict[str, Any]]:
    words = ["data=idx", f"data.root={root}", "data.image_size=64", "data.check=off", f"subset={images}"]
    words += ["strategy=closed_form", "trainer.accelerator=cpu", "trainer.precision=32-true"]
    settings = plainly(ftlab.compose(words), resolve=True)
    return assemble(settings), settings


def features_of(made: Parts, settings: dict[str, Any], split: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, d) features and (n,) classes of the first `count` samples of a split."""
    data = loaders(made, typed(settings))
    samples, layer = data.samples(split), made.model.head.last_layer
    assert isinstance(layer, torch.nn.Linear)
    store = FeatureStore(len(samples), layer.in_features, Path("features.bin"))
    taken = (batch for batch, _ in zip(data.loader(split, False), range(-(-count // 32)), strict=False))
    compute(made.model, layer, taken, store)
    return store.rows[:count], samples.targets[:count]


def fixed(made: Parts, settings: dict[str, Any]) -> tuple[Parts, RunSettings]:
    """The same run at C = 1 and without validation, whose images are no part of the comparison."""
    settings = {**settings, "strategy": {**settings["strategy"], "C": 1.0}}
    return assemble(settings, data=replace(made.splits, val=None, test=None)), typed(settings)


def bare_pass(made: Parts, settings: dict[str, Any]) -> None:
    """What a hand-written loop needs to send every training image through the network once."""
    data = loaders(made, typed(settings))
    made.model.eval()
    with torch.inference_mode():
        for batch in data.loader("train", False):
            made.model(batch)


def of_scikit_learn(features: torch.Tensor, targets: torch.Tensor, part: torch.Tensor) -> Any:
    """The same standardisation, grid, folds, criterion and tolerance."""
    rows = Standardised(features)
    values = ((features.double() - rows.mean) * rows.scale).numpy()
    model = LogisticRegressionCV(
        Cs=list(CANDIDATES), cv=PredefinedSplit(part.numpy()), tol=TOLERANCE, max_iter=5000, scoring="neg_log_loss",
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )  # fmt: skip
    model.fit(values, targets.numpy())
    return lambda x: model.predict(((x.double() - rows.mean) * rows.scale).numpy())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--root", default="/usr/share/datasets/fashion-mnist")
    given = options.parse_args()
    torch.set_num_threads(1)
    made, settings = built(given.images, given.root)
    features, targets = features_of(made, settings, "train", given.images)
    tests = features_of(made, settings, "test", TESTED)
    part, alone = parts(targets, FOLDS), fixed(made, settings)
    times: dict[str, list[float]] = {}
    right: dict[str, float] = {}
    for _ in range(given.rounds):
        for name, work in {
            "one pass over the images": lambda: bare_pass(made, settings),
            "closed-form phase at C = 1": lambda: fitted(*alone, []),
            "fit with cross-validation": lambda: logistic(features, targets, 10, folds=part),
            "LogisticRegressionCV": lambda: of_scikit_learn(features, targets, part),
        }.items():
            spent, found = seconds(work)
            times.setdefault(name, []).append(spent)
            if name == "LogisticRegressionCV":
                right[name] = float((found(tests[0]) == tests[1].numpy()).mean())
            elif found is not None:
                outputs = tests[0].double() @ found.weight.T + found.bias
                right[name] = float((outputs.argmax(1) == tests[1]).double().mean())
    print(f"{given.images} images, {features.shape[1]} features, {TESTED} to judge by, one thread")
    for name, spent in times.items():
        print(f"{name:<28}{np.min(spent):8.2f} s" + (f"  accuracy {right[name]:.4f}" if name in right else ""))
    one, whole, ours, theirs = (min(spent) for spent in times.values())
    print(f"phase at C = 1 over 1.1 passes and a second: {whole / (1.1 * one + 1):.2f} (goal: at most 1)")
    print(f"LogisticRegressionCV over the fit with cross-validation: {theirs / ours:.2f} (goal: at least 1.6)")


if __name__ == "__main__":
    main()
