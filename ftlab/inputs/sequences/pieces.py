"""Runs of steps that sequences have in common, as parts have that were cut from one series before it became a file.

Shapes: n sequences, t steps, c channels.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from statistics import median

import numpy as np

from ftlab.inputs.base import Inputs
from ftlab.inputs.sequences.steps import Steps

NUMBERS, TOKENS = 4, 8  # steps of a piece at least; a phrase of a few words is in many texts
FEW = 20  # different steps, below which sequences are alike by chance
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64


def pieces(parts: Mapping[str, Inputs]) -> dict[str, list[np.ndarray]] | None:
    """Of each split, of each of its sequences (n,) the digests of all runs of half as many steps as is usual in train.

    A run that hardly changes has none. Equal runs have one digest wherever they stand: sums of the steps' digests times
    powers of BASE, as in Karp and Rabin 1987, "Efficient randomized pattern-matching algorithms". None where too few
    steps differ for that to say anything.
    """
    steps = {split: [_digests(inputs[place]) for place in range(len(inputs))] for split, inputs in parts.items()}
    train = steps["train"]
    if not train or len(np.unique(np.concatenate(train))) < FEW:
        return None
    first: Steps = parts["train"][0]
    least = NUMBERS if first.series is not None else TOKENS
    length = max(least, -(-int(median(map(len, train))) // 2))
    return {split: [_runs(one, length) for one in several] for split, several in steps.items()}


def _digests(steps: Steps) -> np.ndarray:
    """(t,) uint64, one of equal steps."""
    found = np.zeros(len(steps), np.uint64)
    if steps.tokens is not None:
        found += np.array([_of_token(token) for token in steps.tokens], np.uint64)
    if steps.series is not None:
        bits = np.where(np.isnan(steps.series), np.nan, steps.series + 0.0).view(np.uint64)  # -0 is 0
        for place in range(bits.shape[1]):
            found = _mixed(found + bits[:, place])
    return found


@cache
def _of_token(token: str) -> int:
    return int.from_bytes(blake2b(token.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def _mixed(bits: np.ndarray) -> np.ndarray:
    """Bits of near numbers, which are alike, become others; the finaliser of SplitMix64 (Steele et al. 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _runs(steps: np.ndarray, length: int) -> np.ndarray:
    """(t - length + 1,) or fewer uint64 of the runs of steps (t,) of which at least half change."""
    if len(steps) < length:
        return np.zeros(0, np.uint64)
    up, down = (_powers(base, len(steps)) for base in (BASE, pow(BASE, -1, 2**64)))
    sums = np.concatenate([[np.uint64(0)], np.cumsum(steps * up, dtype=np.uint64)])
    changes = np.concatenate([[0], np.cumsum(np.concatenate([[False], steps[1:] != steps[:-1]]))])
    found = (sums[length:] - sums[:-length]) * down[: len(steps) - length + 1]
    return found[2 * (changes[length:] - changes[:-length]) >= length]


@cache
def _powers(base: int, count: int) -> np.ndarray:
    """(count,) uint64 of the powers of `base`, from 1, modulo 2^64."""
    return np.cumprod(np.array([1, *[base] * (count - 1)], np.uint64), dtype=np.uint64)
