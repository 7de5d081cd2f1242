"""The part of the backbone that no phase has trained yet: written once, not again in every checkpoint.

A head of 50 kB behind a frozen network of 1 GB would else write 1 GB an epoch.
"""

import os
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from ftlab.disk import flush
from ftlab.model import Model
from ftlab.training.freezing import owners
from ftlab.training.loading import FROZEN, read_checkpoint, read_frozen

Mark = tuple[int, int]


class FrozenPart:
    """The file of a run's frozen part, and what of a state it makes needless."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FROZEN
        self.name = ""  # of the content, so that a file of another run is not taken for it
        self.marks: dict[str, Mark] = {}  # of the tensors that are known to be as in the file

    def take_out(self, state: dict[str, Tensor], names: Collection[str]) -> str | None:
        """Remove from `state` those of `names` that the file holds bit for bit; gives the content's name.

        The first call writes the file. None: nothing was removed.
        """
        if not self.path.exists() and names:
            self._write({name: state[name] for name in names})
        unknown = [name for name in names if self.marks.get(name) != mark(state[name])]
        # Loaded again, or this process goes on with a run.
        changed = self._compare(state, unknown) if unknown else set()
        same = [name for name in names if name not in changed]
        for name in same:
            del state[name]
        return self.name if same else None

    def _write(self, state: dict[str, Tensor]) -> None:
        self.name = secrets.token_hex(8)
        partial = self.path.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save({"name": self.name, "state_dict": state}, file)
        flush(partial)
        os.replace(partial, self.path)
        self.marks = {name: mark(tensor) for name, tensor in state.items()}

    def _compare(self, state: Mapping[str, Tensor], names: Collection[str]) -> set[str]:
        """Those of `names` that the file does not hold as they are; the others are marked."""
        found = read_frozen(self.path, only_look=True)
        self.name, held = found["name"], found["state_dict"]
        same = [name for name in names if name in held and torch.equal(held[name], state[name].cpu())]
        self.marks |= {name: mark(state[name]) for name in same}
        return set(names) - set(same)


def mark(tensor: Tensor) -> Mark:
    """Another one after every change: torch counts those in place."""
    return tensor.data_ptr(), tensor._version


def untrained(model: Model, trained: Collection[str]) -> list[str]:
    """The backbone's parameters and buffers, by their names in the model, of which no stage is in `trained`."""
    stage_of = {name: {stage.name} for stage in model.stages for name in stage.parameters}
    modules = owners(model)
    return [
        name
        for name in model.state_dict()
        if name.startswith("backbone.") and stage_of.get(name, modules[name.rpartition(".")[0]]).isdisjoint(trained)
    ]


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's way to the files: written without a copy of them in memory, and read with the frozen part."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with Path(path).open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))
