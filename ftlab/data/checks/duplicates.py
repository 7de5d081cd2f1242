"""Which images are the same, byte by byte or nearly, without comparing each with each."""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import combinations, pairwise

import numpy as np

NEAR = 3  # bits of 64 in which the fingerprints of near-duplicates differ at most
ALIKE = 0.99  # correlation of grey thumbnails; JPEG and scaling leave more, two pictures of one kind of thing have less
FLAT = 16  # grey levels between the darkest and the brightest part, below which a picture has nothing to compare
BANDS = 5  # NEAR differences leave at least BANDS - NEAR bands untouched
NEIGHBOURS = 64  # images of one key that each is compared with; a larger crowd is told by its first members
FAST_BYTES = 2**30  # what a fast check reads at most to compare files of equal size


def groups(keys: Iterable[Hashable]) -> list[list[int]]:
    """Places that share a key, where there are at least two; None is no key."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if key is not None:
            found[key].append(place)
    return [places for places in found.values() if len(places) > 1]


def equal_files(paths: Sequence[str], sizes: Sequence[int], most: int | None = None) -> list[list[int]] | None:
    """Groups of files with the same bytes; sizes in bytes. None if more than `most` bytes would have to be read."""
    candidates = [place for group in groups(size or None for size in sizes) for place in group]
    if most is not None and sum(sizes[place] for place in candidates) > most:
        return None
    digests: list[str | None] = [None] * len(paths)
    for place in candidates:
        digests[place] = digest(paths[place])
    return groups(digests)


def digest(path: str | os.PathLike[str]) -> str | None:
    """A hash of a file's bytes; None if it cannot be read."""
    state = blake2b(digest_size=16)
    try:
        with open(path, "rb") as stream:
            while block := stream.read(2**20):
                state.update(block)
    except OSError:
        return None
    return state.hexdigest()


def near(thumbnails: Sequence[bytes | None]) -> list[tuple[int, int]]:
    """Pairs of places whose pictures look alike, each once, the smaller place first.

    thumbnails: 8 rows of 9 grey pixels; those without contrast are like any other and left out. Alike are pictures
    whose fingerprints differ in at most NEAR bits and whose thumbnails have a correlation of at least ALIKE.
    Fingerprints that differ in NEAR of BANDS bands agree in the others: it is enough to compare those that agree in
    some BANDS - NEAR bands. Sources: the difference hash of Krawetz 2013, "Kind of Like That"; the bands of Manku, Jain
    and Das Sarma 2007, "Detecting near-duplicates for web crawling".
    """
    pixels = np.array([np.frombuffer(grey or bytes(72), np.uint8) for grey in thumbnails], np.uint8).reshape(-1, 8, 9)
    places = np.flatnonzero(np.ptp(pixels, axis=(1, 2)) >= FLAT)
    pixels = pixels[places]
    bits = fingerprints(pixels)
    values = pixels.reshape(-1, 72) - pixels.mean(axis=(1, 2), dtype=np.float32)[:, None]
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    pairs: set[tuple[int, int]] = set()
    for chosen in combinations(masks(), BANDS - NEAR):
        pairs.update(_within(bits, np.bitwise_or.reduce(chosen)))
    ordered = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    alike = (values[ordered[:, 0]] * values[ordered[:, 1]]).sum(axis=1) >= ALIKE
    return [(first, second) for first, second in places[ordered[alike]].tolist()]


def fingerprints(pixels: np.ndarray) -> np.ndarray:
    """(n,) uint64 of grey (n, 8, 9): a bit for each pixel and its right neighbour, 1 where it gets brighter."""
    brighter = pixels[:, :, 1:] > pixels[:, :, :-1]
    return np.packbits(brighter.reshape(-1, 64), axis=1).view(">u8").reshape(-1).astype(np.uint64)


def masks() -> list[np.uint64]:
    """BANDS masks that share out 64 bits."""
    borders = [64 * band // BANDS for band in range(BANDS + 1)]
    return [np.uint64((1 << upper) - (1 << lower)) for lower, upper in pairwise(borders)]


def _within(bits: np.ndarray, mask: np.uint64) -> Iterator[tuple[int, int]]:
    """Pairs of fingerprints that are near and agree under the mask."""
    order = np.lexsort((bits, bits & mask))
    bits = bits[order]
    keys = bits & mask
    for step in range(1, min(NEIGHBOURS, len(bits) - 1) + 1):
        same = keys[step:] == keys[:-step]
        if not same.any():
            return
        hits = same & (np.bitwise_count(bits[step:] ^ bits[:-step]) <= NEAR)
        for first, second in zip(order[:-step][hits].tolist(), order[step:][hits].tolist(), strict=True):
            yield (first, second) if first < second else (second, first)
