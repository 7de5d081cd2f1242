"""Which texts are nearly the same, without comparing each with each.

Shapes: n texts, s shingles of one text, h hash functions.
"""

import re
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from ftlab.data.checks.duplicates import NEIGHBOURS, groups

SHINGLE = 3  # words in a row that are compared together
ALIKE = 0.8  # share that two texts have in common of all their shingles
WORD = re.compile(r"\w+")
FEWEST = 8  # words, below which a text has too little to compare
BANDS, ROWS = 16, 4  # of hashes: two texts of ALIKE agree in one of the bands with a chance of 0.9998
PRIME = (1 << 61) - 1


def words_of(text: str) -> list[str]:
    """By which texts are compared: neither case nor what stands between words tells two apart."""
    return WORD.findall(text.casefold())


def near(texts: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Pairs of places whose texts, given as words, share ALIKE of their shingles, each pair once, the smaller first.

    Source: Broder 1997, "On the resemblance and containment of documents"; the bands are those of Leskovec, Rajaraman
    and Ullman, "Mining of Massive Datasets", chapter 3.
    """
    own = [shingles(words) for words in texts]
    places = [place for place, found in enumerate(own) if len(found)]
    if not places:
        return []
    sketches = np.stack([sketch(own[place]) for place in places])
    pairs = {(places[a], places[b]) for a, b in _candidates(sketches)}
    return [pair for pair in sorted(pairs) if common(own[pair[0]], own[pair[1]]) >= ALIKE]


def shingles(words: Sequence[str], fewest: int = FEWEST) -> np.ndarray:
    """(s,) uint64, sorted, each once; none of a text of fewer than `fewest` words."""
    if len(words) < fewest:
        return np.empty(0, np.uint64)
    codes = np.array([zlib.crc32(word.encode(errors="replace")) for word in words], np.uint64)
    codes = np.pad(codes, (0, max(0, SHINGLE - len(codes))))
    rows = np.lib.stride_tricks.sliding_window_view(codes, SHINGLE)
    weights = np.array([1, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)  # odd: no word is lost modulo 2**64
    return np.unique((rows * weights).sum(axis=1, dtype=np.uint64))


def sketch(own: np.ndarray) -> np.ndarray:
    """(h,) uint64: of each hash function the least value over the shingles (s,)."""
    factors, offsets = _functions()
    mixed = own[:, None] * factors + offsets  # modulo 2**64, whose upper half is what counts
    return np.min(mixed >> np.uint64(32), axis=0)


def _functions() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    drawn = random.integers(0, PRIME, (2, BANDS * ROWS), dtype=np.uint64)
    return drawn[0] | np.uint64(1), drawn[1]


def _candidates(sketches: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs that agree in a band; of a large crowd that does, each with its next NEIGHBOURS."""
    for band in np.split(sketches, BANDS, axis=1):
        for crowd in groups([row.tobytes() for row in band]):
            for number, first in enumerate(crowd):
                yield from ((first, second) for second in crowd[number + 1 : number + 1 + NEIGHBOURS])


def common(first: np.ndarray, second: np.ndarray) -> float:
    """The share of both together that both have (Jaccard)."""
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)
