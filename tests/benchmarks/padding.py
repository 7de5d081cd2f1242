"""How many positions of a batch only fill it up, at random and by length: python -m tests.benchmarks.padding WORDS.

WORDS as of `ftlab train`, such as data=docstrings; it reads the tokens of the train split and trains nothing.
"""

import sys
from collections.abc import Sequence

import torch

import ftlab
from ftlab.backbones.text import TextBackbone
from ftlab.data.sampling import KeyedBatchSampler
from ftlab.survey import surveyed


def main(words: Sequence[str]) -> None:
    node, own = ftlab.compose(words)["data"], TextBackbone(meta=True).preprocessing
    assert own is not None
    lengths = torch.tensor(own.told(node).positions(surveyed(node, 0).splits.train.inputs))
    size, real = node["batch_size"], int(lengths.sum())
    print(f"{len(lengths):,} texts of {real:,} tokens, {real / len(lengths):.0f} in the mean; batches of {size}")
    for name, window in (("at random", 0), ("by length", size)):
        sampler = KeyedBatchSampler(len(lengths), size, True, 0, lengths=lambda: lengths, window=window)
        batches = [lengths[[index for _, index in batch]] for batch in sampler]
        filled = sum(int(batch.max()) * len(batch) for batch in batches)
        print(f"{name}: {filled:,} positions, of which {1 - real / filled:.0%} only fill up")


if __name__ == "__main__":
    main(sys.argv[1:])
