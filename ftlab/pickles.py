"""Files that torch.save wrote, read without running anything that they hold."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from ftlab.errors import UserError


class HostileFileError(UserError):
    """A file holds more than data: nothing of its folder is to be trusted."""


def load(path: Path, called: str, kind: str, if_hostile: str, only_look: bool = False) -> Any:
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


def broken(called: str, kind: str, error: Exception) -> UserError:
    """For a file that is not what it should be."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
    return UserError(f"{called}: truncated or not {kind} ({reason})")
