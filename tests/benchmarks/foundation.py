"""Speed of the foundation, as ratios of one interleaved run: python tests/benchmarks/foundation.py [--rounds 3]

Seconds are CPU seconds with one thread, so that other work on the machine weighs little; each ratio is of medians.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning
from rich.console import Console
from torch import nn
from torch.nn import functional

import ftlab
from ftlab.assembly import Parts, assemble
from ftlab.batch import Batch
from ftlab.config import plainly
from ftlab.run import loaders
from ftlab.run_settings import RunSettings, typed
from ftlab.training import fit

FIRST_STEP_FTLAB = """
import sys, time, os
from ftlab.imports import uncollected
with uncollected():  # as the command line does
    import ftlab.training.fit
from ftlab.training.finetuner import FineTuner
def stop(*_):
    print(time.process_time()); sys.stdout.flush(); os._exit(0)
FineTuner.on_train_batch_end = stop
from ftlab.cli import main
main(["train", "strategy=full", "hydra.run.dir=" + sys.argv[1]])
"""

FIRST_STEP_BARE = """
import sys, time
import numpy as np, timm, torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from ftlab.backbones import weights  # the same file of ImageNet weights
data = load_digits()
x, _, y, _ = train_test_split(np.round(data.images * 255 / 16).astype("uint8"), data.target, random_state=0)
model = timm.create_model("tf_efficientnet_lite0", num_classes=0)
weights.load(model, "tf_efficientnet_lite0", True, None, allow_missing=False, classifier=("classifier",))
model.reset_classifier(10)
scale = v2.ToDtype(torch.float32, scale=True)
change = v2.Compose([v2.Resize(48, interpolation=3), scale, v2.Normalize([.5] * 3, [.5] * 3)])
class Digits(Dataset):
    def __len__(self): return len(x)
    def __getitem__(self, i): return change(torch.from_numpy(x[i])[None].repeat(3, 1, 1)), int(y[i])
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
images, targets = next(iter(DataLoader(Digits(), batch_size=32, shuffle=True)))
torch.nn.functional.cross_entropy(model(images), targets).backward()
optimizer.step()
print(time.process_time())
"""


def parts_of(*overrides: str) -> tuple[Parts, RunSettings]:
    settings = plainly(
        ftlab.compose(["trainer.accelerator=cpu", "trainer.precision=32-true", *overrides]), resolve=True
    )
    return assemble(settings), typed(settings)


def fitted(parts: Parts, settings: RunSettings, callbacks: list[Callback]) -> None:
    """Trains as `ftlab train` does, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as name, fit.trainers.only_news():
        (Path(name) / "checkpoints").mkdir()
        trainer, tuner = fit.prepare(
            parts, settings, partial(loaders, parts, settings), Path(name), Console(quiet=True)
        )
        trainer.callbacks.extend(callbacks)
        trainer.fit(tuner)


class BareTwin(Callback):
    """After each step of ftlab the same step in a bare loop, on the same batch, with a copy of the same network."""

    def __init__(self, model: nn.Module, lr: float) -> None:
        self.model = copy.deepcopy(model).train()
        for module in self.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr)
        self.own: list[float] = []
        self.bare: list[float] = []
        self.since: float | None = None

    def on_train_epoch_start(self, *_: Any) -> None:
        self.since = None

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        now = time.process_time()
        if self.since is not None:  # from the end of the bare step on: loading, hooks, logging, all
            self.own.append(now - self.since)
        start = time.process_time()
        self.optimizer.zero_grad()
        functional.cross_entropy(self.model(batch), batch.targets).backward()
        self.optimizer.step()
        self.since = time.process_time()
        self.bare.append(self.since - start)


def full_step(rounds: int) -> float:
    """ftlab's step over the bare loop's, medians over all steps of `rounds` epochs."""
    parts, settings = parts_of("strategy=full", "data.image_size=64", "subset=640", f"trainer.max_epochs={rounds}")
    parts.splits.val = None
    parts.spec.sizes.pop("val")  # type: ignore[attr-defined]
    twin = BareTwin(parts.model, 1e-3)
    fitted(parts, settings, [twin])
    return median(twin.own) / median(twin.bare[1:])


class BareHead(BareTwin):
    """The same for a head on kept values: the bare loop has all of them in one tensor."""

    def __init__(self, width: int, samples: int, classes: int) -> None:
        super().__init__(nn.Linear(width, classes), 1e-3)
        self.values, self.targets = torch.randn(samples, width), torch.randint(classes, (samples,))
        # A program without Lightning does not look for a GPU's driver at each step, which in here AdamW would do.
        self.optimizer._accelerator_graph_capture_health_check = lambda: None  # type: ignore[method-assign]

    def on_train_epoch_start(self, *_: Any) -> None:
        super().on_train_epoch_start()
        self.parts = iter(torch.randperm(len(self.values)).split(32))

    def on_train_batch_end(self, *_: Any) -> None:
        now = time.process_time()
        if self.since is not None:
            self.own.append(now - self.since)
        start, part = time.process_time(), next(self.parts)
        self.optimizer.zero_grad()
        functional.cross_entropy(self.model(self.values[part]), self.targets[part]).backward()
        self.optimizer.step()
        self.since = time.process_time()
        self.bare.append(self.since - start)


def head_step(rounds: int) -> float:
    """ftlab's step of a head on kept values over a bare loop's, medians over all steps of 20 epochs a round."""
    parts, settings = parts_of(
        "strategy=head_only", "data.image_size=64", "subset=640", f"trainer.max_epochs={20 * rounds}", "cache=memory",
        "strategy.head_init=random", "checkpoint.every_minutes=null",
    )  # fmt: skip
    parts.splits.val = None
    parts.spec.sizes.pop("val")  # type: ignore[attr-defined]
    twin = BareHead(parts.model.backbone.num_features, 640, len(parts.splits.target.classes))
    fitted(parts, settings, [twin])
    return median(twin.own) / median(twin.bare[1:])


def head_only(rounds: int, epochs: int = 10) -> float:
    """ftlab's head-only fit over stock BackboneFinetuning's, `epochs` epochs of 300 images at 64 px, validation off."""
    ours, stock = [], []
    for _ in range(rounds):
        parts, settings = parts_of(
            "strategy=head_only", "data.image_size=64", "subset=300", f"trainer.max_epochs={epochs}"
        )
        parts.splits.val = None
        parts.spec.sizes.pop("val")  # type: ignore[attr-defined]
        network = copy.deepcopy(parts.model)
        loader = loaders(parts, settings).loader("train", True)
        ours.append(seconds(fitted, parts, settings, []))
        stock.append(seconds(fit_stock, network, loader, epochs))
    return median(ours) / median(stock)


class Stock(LightningModule):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone, self.head = network.backbone, network.head

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        return functional.cross_entropy(self.head(self.backbone(batch), batch), batch.targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), lr=1e-3)


def fit_stock(network: Any, loader: Any, epochs: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[BackboneFinetuning(unfreeze_backbone_at_epoch=epochs + 1)],
        ).fit(Stock(network), loader)


def seconds(run: Callable[..., Any], *arguments: Any) -> float:
    start = time.process_time()
    run(*arguments)
    return time.process_time() - start


def first_step(rounds: int) -> float:
    """CPU seconds of a process up to the end of its first step, ftlab over a bare timm script."""
    ours, bare = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(float(output([sys.executable, "-c", FIRST_STEP_FTLAB, f"{folder}/run"]).split()[-1]))
        bare.append(float(output([sys.executable, "-c", FIRST_STEP_BARE]).split()[-1]))
    return median(ours) / median(bare)


def output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def help_seconds(rounds: int) -> float:
    """CPU seconds of `ftlab train --help`."""
    import resource

    found = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output([sys.executable, "-m", "ftlab", "train", "--help"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(found)


def plan_ratio(rounds: int) -> float:
    """Wall-clock seconds of `ftlab plan` of a vit over those of `import timm`."""
    plan = ["-m", "ftlab", "plan", "backbone.name=vit_tiny_patch16_224", "backbone.pretrained=false"]
    ours, bare = [], []
    for _ in range(rounds):
        for times, command in ((ours, plan), (bare, ["-c", "import timm"])):
            start = time.perf_counter()
            output([sys.executable, *command])
            times.append(time.perf_counter() - start)
    return median(ours) / median(bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each side, interleaved")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{'what':<58}{'measured':>10}{'goal':>8}")
    for what, measure, goal in (
        ("full-network step / bare loop's", full_step, "1.05"),
        ("step of a head on kept values / bare loop's", head_step, "1.24"),
        ("head only, 10 epochs / stock BackboneFinetuning", head_only, "0.70"),
        ("first training step / bare timm script's", first_step, "1.25"),
        ("ftlab train --help, CPU seconds", help_seconds, "0.60"),
        ("ftlab plan / import timm", plan_ratio, "1.50"),
    ):
        print(f"{what:<58}{measure(rounds):>10.2f}{goal:>8}", flush=True)


if __name__ == "__main__":
    main()
