"""Files of torch.save: written, and read without running anything that they hold."""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from ftlab.errors import UserError

FROZEN = "frozen.pt"  # beside checkpoints of ftlab: the weights that they leave out, see training/saving/frozen_part.py
FROZEN_PART = "frozen_part"  # the key of a checkpoint that names the content of that file
TOGETHER = "Copy the checkpoints of a run as a whole folder; bundle/ holds all weights."


class HostileFileError(UserError):
    """A file holds more than data: nothing of its folder is to be trusted."""


def load(path: Path, called: str, kind: str, if_hostile: str, only_look: bool = False) -> Any:
    """As `alone`; a checkpoint of ftlab with its frozen part."""
    return completed(alone(path, called, kind, if_hostile, only_look), path, if_hostile, only_look)


def alone(path: Path, called: str, kind: str, if_hostile: str, only_look: bool = False) -> Any:
    """What a file holds of tensors and plain values, on the CPU.

    `called` and `kind`: the file's name and what it should be, in messages. `if_hostile`: what to do about a file that
    holds more. `only_look` maps the tensors instead of reading them: not to be kept.

    Raises: UserError if the file cannot be read, is truncated or something else; HostileFileError if it holds more
    than tensors and plain containers, which loading could run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about pickles that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True, mmap=only_look)
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(f"{called}: cannot be read ({error.strerror or error})") from error
    except pickle.UnpicklingError as error:
        if "Unsupported" not in str(error) and "GLOBAL" not in str(error):
            raise broken(called, kind, error) from error
        raise HostileFileError(
            f"{called}: holds more than tensors and plain values; loading it could run code, so it is refused. "
            f"{if_hostile}"
        ) from error
    # OSError: of seeking in what is too short.
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise broken(called, kind, error) from error


def completed(found: Any, path: Path, if_hostile: str, only_look: bool) -> Any:
    """A checkpoint with what it leaves out, if it is one. Raises: UserError where the file of that does not fit."""
    if not isinstance(found, dict) or not isinstance(found.get(FROZEN_PART), str):
        return found
    frozen = read_frozen(path.with_name(FROZEN), if_hostile, only_look)
    if frozen["name"] != found[FROZEN_PART]:
        raise UserError(f"{path.with_name(FROZEN)}: is of another run than {path.name}. {TOGETHER}")
    for name, tensor in frozen["state_dict"].items():  # into the same mapping, which has the versions of the modules
        found["state_dict"].setdefault(name, tensor)
    return found


def read_frozen(path: Path, if_hostile: str, only_look: bool = False) -> dict[str, Any]:
    """{name, state_dict} of a run's frozen part. Raises: UserError, as `load`."""
    if not path.exists():
        raise UserError(f"{path}: is missing; it holds the weights that were frozen from the start. {TOGETHER}")
    found = load(path, str(path), "the frozen part of a run", if_hostile, only_look)
    if not isinstance(found, dict) or found.keys() != {"name", "state_dict"}:
        raise UserError(f"{path}: is not the frozen part of a run of ftlab. {TOGETHER}")
    return found


def save(content: Any, path: Path) -> None:
    """Raises: OSError with the file's name; torch's writer, which is in C++, puts an error of its own in its place."""
    with path.open("wb") as file:
        try:
            torch.save(content, file)
        except (OSError, RuntimeError) as error:
            reason = error if isinstance(error, OSError) else error.__context__
            if not isinstance(reason, OSError) or reason.errno is None:
                raise
            raise OSError(reason.errno, os.strerror(reason.errno), str(path)) from error


def broken(called: str, kind: str, error: Exception) -> UserError:
    """For a file that is not what it should be."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
    return UserError(f"{called}: truncated or not {kind} ({reason})")
