"""Checkpoints are read without running anything that they hold."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from ftlab.errors import UserError


class HostileCheckpointError(UserError):
    """A checkpoint holds more than data: nothing of its folder is to be trusted."""


def read_checkpoint(path: Path, only_look: bool = False) -> dict[str, Any]:
    """What a run has saved, on the CPU. `only_look` maps the tensors instead of reading them: not to be kept.

    Raises: UserError naming the file if it is missing, truncated, no checkpoint of ftlab, or holds more than tensors
    and plain containers, which loading could run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about pickles that it then refuses
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=only_look)
    except FileNotFoundError:
        raise UserError(f"{path}: the checkpoint is missing") from None
    except pickle.UnpicklingError as error:
        if "Unsupported" not in str(error) and "GLOBAL" not in str(error):
            raise _broken(path, error) from error
        raise HostileCheckpointError(
            f"{path}: holds more than tensors and plain values; loading it could run code, so it is refused. "
            "It is not as ftlab wrote it: take the folder from where the run was made."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _broken(path, error) from error
    if not isinstance(found, dict) or not {"state_dict", "optimizer_states", "loops", "ftlab"} <= found.keys():
        raise UserError(f"{path}: is no checkpoint of ftlab; for weights of another program use backbone.weights=FILE")
    return found


def _broken(path: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
    return UserError(f"{path}: truncated or no checkpoint ({reason})")
