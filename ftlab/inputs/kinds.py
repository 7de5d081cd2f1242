"""Raw inputs of every kind on their way into a batch: read back from a bundle, and stacked.

Shapes: b batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ftlab.batch import Fields
from ftlab.inputs.base import InputPreprocessing
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.sequences import preprocessing as sequences
from ftlab.inputs.tables import rows


def restored(stored: Mapping[str, Any]) -> InputPreprocessing:
    """What InputPreprocessing.stored gave; the first bundles knew images only and name no kind.

    Raises: KeyError, TypeError, ValueError for what nothing can have stored.
    """
    match stored.get("kind", "image"):
        case "image":
            return _of_images(stored)
        case "table":
            return rows.restored(stored)
        case "sequence":
            return sequences.restored(stored)
        case other:
            raise ValueError(f"preprocessing of the kind '{other}' is unknown; accepted: image, table, sequence")


def _of_images(stored: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing(
        size=(stored["size"][0], stored["size"][1]),
        mean=tuple(stored["mean"]),
        std=tuple(stored["std"]),
        interpolation=stored["interpolation"],
        crop_pct=stored["crop_pct"],
    )


def stacked(inputs: Sequence[Fields]) -> Fields:
    """The fields of several samples as those of a batch: (...) to (b, ...).

    Sequences (t, ...) have a mask and are filled up with 0 to the longest, the mask with False.
    """
    if "mask" in inputs[0]:
        return {name: pad_sequence([fields[name] for fields in inputs], batch_first=True) for name in inputs[0]}
    return {name: torch.stack([fields[name] for fields in inputs]) for name in inputs[0]}
