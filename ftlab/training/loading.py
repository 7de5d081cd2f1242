"""Checkpoints of a run, read without running anything that they hold."""

from pathlib import Path
from typing import Any

from ftlab import pickles
from ftlab.errors import UserError

FROZEN = "frozen.pt"  # beside checkpoints: the weights that no phase has trained, which these leave out
IF_HOSTILE = "It is not as ftlab wrote it: take the folder from where the run was made."
TOGETHER = "Copy the checkpoints of a run as a whole folder; bundle/ holds all weights."


def read_checkpoint(path: Path, only_look: bool = False) -> dict[str, Any]:
    """What a run has saved, whole, on the CPU. `only_look` maps the tensors instead of reading them: not to be kept.

    Raises: UserError naming the file if it cannot be read, is truncated or no checkpoint of ftlab; HostileFileError if
    it holds more than tensors and plain containers.
    """
    found = pickles.load(path, str(path), "a checkpoint", IF_HOSTILE, only_look)
    if not isinstance(found, dict) or not {"state_dict", "optimizer_states", "loops", "ftlab"} <= found.keys():
        raise UserError(f"{path}: is no checkpoint of ftlab; for weights of another program use backbone.weights=FILE")
    if found.get("frozen"):
        frozen = read_frozen(path.parent / FROZEN, only_look)
        if frozen["name"] != found["frozen"]:
            raise UserError(f"{path.parent / FROZEN}: is of another run than {path.name}; {TOGETHER}")
        found["state_dict"] = frozen["state_dict"] | found["state_dict"]
    return found


def read_frozen(path: Path, only_look: bool = False) -> dict[str, Any]:
    """{name, state_dict} of a run's frozen part. Raises: UserError, as read_checkpoint."""
    if not path.exists():
        raise UserError(f"{path}: is missing; it holds the weights that were frozen from the start. {TOGETHER}")
    found = pickles.load(path, str(path), "the frozen part of a run", IF_HOSTILE, only_look)
    if not isinstance(found, dict) or found.keys() != {"name", "state_dict"}:
        raise UserError(f"{path}: is not the frozen part of a run of ftlab; {TOGETHER}")
    return found
