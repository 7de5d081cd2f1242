"""Loading an epoch of JPEG files, decoded anew each time and decoded once: CPU seconds and their ratio.

    python -m tests.benchmarks.decode [images=300] [epochs=3] [rounds=3]

Images are 500 x 375 gradients with noise, quality 90, brought to 224 pixels (crop_pct 0.875) in batches of 32, without
workers and on one thread. The ways take turns; a figure is the median of the rounds. The first epoch fills what the
later ones read.
"""

import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from ftlab.cache.decoded import Decoded
from ftlab.cache.settings import CacheSettings
from ftlab.config import instantiate, options
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule, describe
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.files import ImageFiles, load_image
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.classes import Classes

PREPROCESSING = Preprocessing((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 0.875)
WAYS = {"off": 0.0, "memory": 1.0}  # image_budget, GiB


def photos(folder: Path, count: int) -> list[Path]:
    random, (down, right) = np.random.default_rng(0), np.mgrid[:375, :500]
    gradient = np.stack([right / 2, down / 2, (right + down) / 4], axis=-1)
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for path in paths:
        noisy = gradient + random.normal(0, 12, gradient.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def seconds(paths: list[Path], augment: Augment, budget: float, epochs: int) -> list[float]:
    """CPU seconds of each epoch."""
    samples = Samples(ImageFiles(paths), torch.arange(len(paths)) % 2)
    splits, spec = describe("photos", Splits(samples, None, None, Classes(("a", "b"))), seed=0)
    with Decoded(CacheSettings("memory", image_budget=budget), PREPROCESSING, 0, epochs) as decoded:
        made = DataModule(splits, spec, PREPROCESSING, augment, 32, 0, 0, decoded=decoded).loader("train", True)
        return [epoch(made, number) for number in range(epochs)]


def epoch(made: "torch.utils.data.DataLoader", number: int) -> float:
    made.batch_sampler.set_epoch(number)  # type: ignore[union-attr]
    start = time.process_time()
    for _ in made:
        pass
    return time.process_time() - start


def parts(path: Path, augments: dict[str, Augment]) -> dict[str, float]:
    """Milliseconds of each part of preparing one image."""
    raw, plain = load_image(path), PREPROCESSING.transform()
    first = plain.first(raw)
    ways = {"decode": lambda: load_image(path), "resize": lambda: plain.first(raw)}
    for name, augment in augments.items():
        transform = PREPROCESSING.transform(augment)
        ways[f"rest, augment={name}"] = lambda transform=transform: transform.then(first)
    found = {}
    for name, way in ways.items():
        start = time.process_time()
        for _ in range(50):
            way()
        found[name] = (time.process_time() - start) / 50 * 1e3
    return found


def main(images: int = 300, epochs: int = 3, rounds: int = 3) -> None:
    torch.set_num_threads(1)
    augments = {name: instantiate(options("augment")[name]) for name in ("none", "standard")}
    with TemporaryDirectory() as folder:
        paths = photos(Path(folder), images)
        print("; ".join(f"{name} {ms:.2f} ms" for name, ms in parts(paths[0], augments).items()))
        print(f"{'augment':<10}{'off':>8}{'first':>8}{'later':>8}   off / later, off / all {epochs} epochs")
        for name, augment in augments.items():
            found = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way, budget in WAYS.items():
                    found[way].append(seconds(paths, augment, budget, epochs))
            off, first = median(s for one in found["off"] for s in one), median(one[0] for one in found["memory"])
            later = median(s for one in found["memory"] for s in one[1:])
            total = epochs * off / (first + (epochs - 1) * later)
            print(f"{name:<10}{off:>7.2f}s{first:>7.2f}s{later:>7.2f}s   {off / later:.1f}x, {total:.1f}x")


if __name__ == "__main__":
    main(**{word.split("=")[0]: int(word.split("=")[1]) for word in sys.argv[1:]})
