"""What a frozen encoder costs with and without the cache: python -m tests.benchmarks.frozen_texts [--samples 128].

CPU seconds of the fit alone, on one thread, the ways in turn in one process; the head trains by gradient descent on
descriptions of functions, nothing validates.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import ftlab
from ftlab.training import fit as fitting

WORDS = ["data=docstrings", "data.split=[1.0,0.0,0.0]", "strategy=head_only", "trainer.accelerator=cpu", "monitor=loss"]


def fit_seconds(samples: int, epochs: int, cache: str) -> float:
    whole, spent = fitting.fit, []

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        found = whole(*arguments)
        spent.append(time.process_time() - start)
        return found

    words = [*WORDS, f"subset={samples}", f"trainer.max_epochs={epochs}", f"cache={cache}"]
    fitting.fit = timed
    try:
        with tempfile.TemporaryDirectory() as folder:
            ftlab.train(ftlab.compose(words), Path(folder) / "run")
    finally:
        fitting.fit = whole
    return spent[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=128)
    samples = parser.parse_args().samples
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fit_seconds(16, 1, "memory")  # what is imported and compiled the first time
    print("| epochs | computed once | computed each time | ratio |\n|---|--:|--:|--:|")
    for epochs in (5, 20):
        once, each = (fit_seconds(samples, epochs, cache) for cache in ("memory", "off"))
        print(f"| {epochs} | {once:.1f} s | {each:.1f} s | {each / once:.1f} |", flush=True)


if __name__ == "__main__":
    main()
