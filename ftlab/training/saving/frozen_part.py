"""The weights of the backbone that no phase has trained yet: written once, not again in every checkpoint.

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

from ftlab import pickles
from ftlab.disk import flush
from ftlab.freezing import owners
from ftlab.model import Model
from ftlab.pickles import FROZEN, FROZEN_PART
from ftlab.training.saving.loading import IF_HOSTILE, read_checkpoint

# A tensor that is held, so that its place in memory is not given to another; how often it was changed; its 2-norm.
Mark = tuple[Tensor, int, float]


class FrozenPart:
    """The file of a run's frozen part, and what of a checkpoint it makes needless."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FROZEN
        self.name = ""  # of the content, so that a file of another run is not taken for it
        self.marks: dict[str, Mark] = {}  # of the tensors that are known to be as in the file

    def take_out(self, checkpoint: dict[str, Any], names: Collection[str]) -> None:
        """Remove from the state in `checkpoint` those of `names` that the file holds bit for bit.

        The first call writes the file.
        """
        state = checkpoint["state_dict"]
        names = [name for name in names if name in state]  # buffers may be left out, and modules rename what they save
        marks = marked({name: state[name] for name in names})
        if not self.path.exists() and names:
            self._write({name: state[name] for name in names})
            self.marks = marks
        unknown = [name for name in names if not is_same(self.marks.get(name), marks[name])]
        # Loaded again, or this process goes on with a run.
        changed = self._compare(state, unknown, marks) if unknown else set()
        for name in names:
            if name not in changed:
                checkpoint[FROZEN_PART] = self.name
                del state[name]

    def _write(self, state: dict[str, Tensor]) -> None:
        self.name = secrets.token_hex(8)
        partial = self.path.with_suffix(".partial")
        pickles.save({"name": self.name, "state_dict": state}, partial)
        flush(partial)
        os.replace(partial, self.path)

    def _compare(self, state: Mapping[str, Tensor], names: Collection[str], marks: Mapping[str, Mark]) -> set[str]:
        """Those of `names` that the file does not hold as they are; the others are marked."""
        found = pickles.read_frozen(self.path, IF_HOSTILE, only_look=True)
        self.name, held = found["name"], found["state_dict"]
        same = {name for name in names if name in held and is_equal(held[name], state[name].cpu())}
        self.marks |= {name: marks[name] for name in same}
        return set(names) - same


def marked(tensors: Mapping[str, Tensor]) -> dict[str, Mark]:
    """Others after every change: torch counts those in place, but for those through `.data`, which move the norm."""
    if not tensors:
        return {}
    floats = [t if t.is_floating_point() else t.float() for t in tensors.values()]
    norms = torch.stack([norm.double() for norm in torch._foreach_norm(floats)]).tolist()
    return {name: (t, t._version, norm) for (name, t), norm in zip(tensors.items(), norms, strict=True)}


def is_same(before: Mark | None, now: Mark) -> bool:
    return before is not None and (before[0].data_ptr(), *before[1:]) == (now[0].data_ptr(), *now[1:])


def is_equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def untrained(model: Model, trained: Collection[str]) -> list[str]:
    """The backbone's parameters and buffers, by their names in the model, of which no stage is in `trained`.

    Of a parameter that the head shares, the head's names too: else every checkpoint would hold it all the same.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    stage_of = {id(parameters[name]): {stage.name} for stage in model.stages for name in stage.parameters}
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    modules = owners(model)
    found = [name for name, p in parameters.items() if id(p) in backbone and stage_of[id(p)].isdisjoint(trained)]
    buffers = [name for name, _ in model.named_buffers() if name.startswith("backbone.")]
    return found + [name for name in buffers if modules[name.rpartition(".")[0]].isdisjoint(trained)]


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's way to the files: written without a copy of them in memory, and read with the frozen part."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        pickles.save(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))
