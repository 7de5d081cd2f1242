"""Checkpoints of a run, read without running anything that they hold."""

from pathlib import Path
from typing import Any

from ftlab import pickles
from ftlab.errors import UserError

IF_HOSTILE = "It is not as ftlab wrote it: take the folder from where the run was made."


def read_checkpoint(path: Path, only_look: bool = False) -> dict[str, Any]:
    """What a run has saved, on the CPU. `only_look` maps the tensors instead of reading them: not to be kept.

    Raises: UserError naming the file if it cannot be read, is truncated or no checkpoint of ftlab; HostileFileError if
    it holds more than tensors and plain containers.
    """
    found = pickles.load(path, str(path), "a checkpoint", IF_HOSTILE, only_look)
    if not isinstance(found, dict) or not {"state_dict", "optimizer_states", "loops", "ftlab"} <= found.keys():
        raise UserError(f"{path}: is no checkpoint of ftlab; for weights of another program use backbone.weights=FILE")
    return found
