"""Inputs that were cut into tiles, judged as a whole once all of their tiles have been predicted."""

from typing import Any

import torch
from torch import Tensor, distributed

from ftlab.batch import Batch, mapped, of_one
from ftlab.data.base import Tiled
from ftlab.frames import Frame
from ftlab.tasks.base import Task

Piece = tuple[int, Any, Frame]  # index of the sample, what Task.predictions says of it, and its frame


class Whole:
    """Predictions of tiles are added batch by batch, those of one input in any order."""

    def __init__(self, task: Task, tiled: Tiled, shared: bool) -> None:
        """shared: whether other ranks have some of the tiles."""
        self.task, self.tiled, self.shared = task, tiled, shared
        self.pieces: list[Piece] = []

    def reset(self) -> None:
        self.pieces = []

    def add(self, predictions: Any, batch: Batch) -> None:
        """predictions: in pixels of the network's inputs."""
        assert batch.frame is not None, "targets that follow have a frame"
        here, frame = mapped(predictions, Tensor.cpu), batch.frame.each(Tensor.cpu)
        for place, index in enumerate(batch.index.tolist()):
            self.pieces.append((index, of_one(here, place), frame.of_one(place)))

    def compared(self) -> tuple[Any, Any] | None:
        """What Task.compared says of the inputs, the same on all ranks, with all of their targets; None where nothing
        was added since."""
        pieces, self.pieces = self._of_all_ranks(), []
        if not pieces:
            return None
        of: dict[int, list[Piece]] = {}
        for piece in sorted(pieces, key=lambda one: one[0]):
            of.setdefault(int(self.tiled.tiles.of[piece[0]]), []).append(piece)
        joined = [self._joined(own) for own in of.values()]
        return self.task.compared(joined, self.task.spec.target.gathered(self.tiled.targets, torch.tensor(list(of))))

    def _joined(self, pieces: list[Piece]) -> Any:
        places, predictions, frames = zip(*pieces, strict=True)
        windows = [self.tiled.tiles.windows[place] for place in places]
        return self.task.joined(predictions, Frame.stacked(frames), windows, self.tiled.tiles.sizes[places[0]])

    def _of_all_ranks(self) -> list[Piece]:
        if not (self.shared and distributed.is_available() and distributed.is_initialized()):
            return self.pieces
        several: list[list[Piece]] = [[] for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(several, self.pieces)
        return [piece for pieces in several for piece in pieces]
