from itertools import combinations, pairwise

import numpy as np
from PIL import Image

from ftlab.data.checks import duplicates
from ftlab.data.checks.duplicates import equal_files, fingerprints, near
from ftlab.data.checks.images import thumbnail


def pixels(*thumbnails: bytes) -> np.ndarray:
    return np.stack([np.frombuffer(grey, np.uint8).reshape(8, 9) for grey in thumbnails])


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 9), dtype=np.uint8)


def test_a_fingerprint_has_a_bit_for_each_step_to_the_right():
    (grey,) = noise(1)
    bits = "".join(str(int(b > a)) for row in grey.astype(int) for a, b in pairwise(row))
    assert int(fingerprints(grey[None])[0]) == int(bits, 2)


def test_the_bands_find_all_that_comparing_each_with_each_finds():
    base = noise(60)
    rng = np.random.default_rng(1)
    altered = base.astype(int)
    for picture in altered:  # one to three neighbours change places: their steps turn round
        for _ in range(rng.integers(1, 4)):
            row, column = rng.integers(8), rng.integers(8)
            picture[row, [column, column + 1]] = picture[row, [column + 1, column]]
    everything = np.concatenate([base, altered.astype(np.uint8)])
    found = near([grey.tobytes() for grey in everything])
    flat = everything.reshape(len(everything), -1)
    bits = [int(b) for b in fingerprints(everything)]
    expected = [
        (a, b)
        for a, b in combinations(range(len(everything)), 2)
        if (bits[a] ^ bits[b]).bit_count() <= 3 and np.corrcoef(flat[a], flat[b])[0, 1] >= duplicates.ALIKE
    ]
    assert found == expected
    assert len(expected) > 5


def test_scaled_darkened_and_recompressed_pictures_are_near_and_others_are_not(tmp_path):
    coarse = np.random.default_rng(3).integers(0, 256, (2, 7, 7, 3), dtype=np.uint8)
    first, second = (Image.fromarray(c).resize((300, 200), Image.Resampling.BICUBIC) for c in coarse)
    first.save(tmp_path / "a.jpg", quality=40)
    with Image.open(tmp_path / "a.jpg") as again:
        views = [first, second, again.copy(), first.resize((90, 60)), first.point(lambda value: int(value * 0.8))]
    assert near([thumbnail(view) for view in views]) == [(0, 2), (0, 3), (0, 4), (2, 3), (2, 4), (3, 4)]


def test_pictures_without_contrast_are_like_none():
    grey = [bytes([value] * 72) for value in (0, 0, 7, 255)]
    assert near(grey) == []
    assert near([None, *grey]) == []
    assert near([]) == []


def test_files_are_compared_by_their_bytes_and_only_where_sizes_are_equal(tmp_path):
    contents = [b"abc", b"abd", b"abc", b"abcd", b"", b""]
    paths = []
    for place, data in enumerate(contents):
        (tmp_path / str(place)).write_bytes(data)
        paths.append(str(tmp_path / str(place)))
    sizes = [len(data) for data in contents]
    assert equal_files(paths, sizes) == [[0, 2]]
    assert equal_files(paths, sizes, most=9) == [[0, 2]]  # three files of 3 bytes are read
    assert equal_files(paths, sizes, most=8) is None
