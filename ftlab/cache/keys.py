"""The name of an entry on disk: a hash of all that decides its values, so a stale entry is never found."""

import pickle
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import torch

from ftlab.data.checks import cache as files
from ftlab.inputs.base import Inputs
from ftlab.inputs.images.files import ArrayImages, ImageFiles, TileImages
from ftlab.inputs.views import Joined, Selected

VERSION = 1  # of how values are computed and kept


def key(*parts: Any) -> str:
    """32 hexadecimal digits of plain values."""
    said = repr((VERSION, torch.__version__, *parts))
    return blake2b(said.encode(), digest_size=16).hexdigest()


def fingerprint(inputs: Inputs) -> str | None:
    """What tells these raw inputs from others: names, sizes and times of files, contents of what is in memory.

    None where nothing does: a data set of the user's own, or a file that has just been written.
    """
    match inputs:
        case Selected():
            inner = fingerprint(inputs.inputs)
            return key(inner, list(inputs.indices)) if inner else None
        case TileImages():
            inner = fingerprint(inputs.images)
            return key(inner, inputs.places, [tuple(one) for one in inputs.windows]) if inner else None
        case Joined():
            several = [fingerprint(part) for part in inputs.several]
            return key(*several) if all(several) else None
        case ImageFiles():
            entry = files.entry(inputs.paths, True)
            return entry.stem if entry else None
        case ArrayImages():
            pixels = inputs.pixels.contiguous().numpy()
            return key(pixels.shape, blake2b(pixels.data, digest_size=16).hexdigest())
        case list():  # rows of a table, sequences
            with suppress(pickle.PicklingError, TypeError, AttributeError):
                return blake2b(pickle.dumps(inputs), digest_size=16).hexdigest()
    return None
