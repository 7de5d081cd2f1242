"""All images of a data set looked at once: files with a cached result, others (pixels in memory) at each run."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from ftlab.data.checks import cache
from ftlab.data.checks.duplicates import FAST_BYTES, equal_files, groups, near
from ftlab.data.checks.images import Look, loaded, look, narrow, thumbnail
from ftlab.errors import UserError
from ftlab.inputs.base import Inputs

FAST_IMAGES, FAST_PIXELS = 8, 2**21  # of which a fast check looks at the values, at most
FAST_ALIKE = 2**26  # pixels of all images, up to which a fast check looks which are alike: about 2 s


@dataclass
class Facts:
    """What is known of images 0 to n - 1, in plain containers."""

    faults: list[tuple[int, str, str]] = field(default_factory=list)  # place, kind, reason
    notes: dict[str, list[int]] = field(default_factory=dict)  # kind to places
    equal: list[list[int]] | None = field(default_factory=list)  # groups; None: too much to read in a fast check
    near: list[tuple[int, int]] | None = field(default_factory=list)  # pairs; None: too many pixels for a fast check
    loaded: bool = False  # whether the pixels of all were looked at
    narrow: list[tuple[int, str]] = field(default_factory=list)  # place, range of its values: a small part of its depth
    looked: int = 0  # images whose pixels were looked at


@dataclass(frozen=True)
class Kept:
    """Facts, and the file that keeps them for the next run."""

    facts: Facts
    file: Path | None
    was_there: bool = False


def of_files(paths: Sequence[str], load: bool, workers: int, console: Console) -> Kept:
    """`workers`: processes that read files; 0 is this one. With `load` all pixels are read, else headers."""
    for deep in (True,) if load else (True, False):  # a full check answers a fast one too
        entry = cache.entry(paths, deep)
        found = _restored(cache.read(entry)) if entry else None
        if found:
            return Kept(found, entry, was_there=True)
    looks = list(_looks(paths, load, workers, console))
    facts = _facts(looks, load)
    if not load:
        facts.narrow, facts.looked = sampled(paths, [0 if seen.photo else seen.pixels for seen in looks])
        few = sum(seen.pixels for seen in looks) <= FAST_ALIKE
        facts.near = near([thumbnail_of(path) for path in paths]) if few else None
    sizes = [Path(path).stat().st_size if Path(path).is_file() else 0 for path in paths]
    facts.equal = equal_files(paths, sizes, None if load else FAST_BYTES)
    written = entry is not None and entry == cache.entry(paths, load) and cache.write(entry, asdict(facts))
    return Kept(facts, entry if written else None)


def sampled(paths: Sequence[str], pixels: Sequence[int]) -> tuple[list[tuple[int, str]], int]:
    """Facts.narrow and Facts.looked of a few files; pixels: of each by its header, 0 where nobody need look."""
    candidates = [place for place, count in enumerate(pixels) if count]
    found, looked, room = [], 0, FAST_PIXELS
    for place in candidates[:: -(-len(candidates) // FAST_IMAGES) or 1]:
        room -= pixels[place]
        if room < 0:
            break
        with suppress(UserError):  # a fast check does not say whether an image can be decoded
            seen = loaded(paths[place])
            looked += 1
            found += [(place, seen.range)] if seen.range else []
    return found, looked


def thumbnail_of(path: str) -> bytes | None:
    """See images.thumbnail; None of what cannot be decoded, which a fast check does not say."""
    try:
        return loaded(path).thumbnail
    except UserError:
        return None


def _looks(paths: Sequence[str], load: bool, workers: int, console: Console) -> Iterator[Look]:
    said = "loading images" if load else "reading headers"
    progress = partial(
        track, description=said, total=len(paths), console=console, disable=not console.is_terminal, transient=True
    )
    if not workers:
        yield from progress(look(path, load) for path in paths)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from progress(pool.map(partial(look, load=load), paths, chunksize=16))


def of_images(images: Inputs, console: Console) -> Facts:
    """The pixels of images that are no files of their own."""
    looks: list[Look] = []
    digests: list[bytes | None] = []
    hidden = not console.is_terminal
    places = track(range(len(images)), "looking at images", console=console, disable=hidden, transient=True)
    for place in places:
        try:
            image = images[place]
        except UserError as error:
            looks.append(Look("images cannot be read", str(error)))
            digests.append(None)
            continue
        small = thumbnail(image)
        looks.append(Look(thumbnail=small, range=narrow(image, small)))
        pixels = np.asarray(image) if isinstance(image, Image.Image) else image.numpy()
        digests.append(blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest())
    facts = _facts(looks, loaded=True)
    facts.equal = groups(digests)
    return facts


def _facts(looks: Sequence[Look], loaded: bool) -> Facts:
    facts = Facts(loaded=loaded)
    for place, seen in enumerate(looks):
        if seen.fault:
            facts.faults.append((place, seen.fault, seen.reason))
        for note in seen.notes:
            facts.notes.setdefault(note, []).append(place)
    facts.narrow = [(place, seen.range) for place, seen in enumerate(looks) if seen.range]
    facts.looked = sum(seen.thumbnail is not None for seen in looks)
    facts.near = near([seen.thumbnail for seen in looks])
    return facts


def _restored(value: Any) -> Facts | None:
    """Facts from a cache's entry; None if it is none."""
    try:
        return Facts(**value)
    except TypeError:
        return None
