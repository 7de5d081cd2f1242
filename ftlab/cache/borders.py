"""A model cut at the freeze border of a phase: which values its training needs, what computes them, what goes on.

Shapes: b batch, d features, k outputs.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.backbones.border import update
from ftlab.backbones.part import Part
from ftlab.batch import Batch
from ftlab.frames import Where
from ftlab.freezing import resting
from ftlab.heads.vector import VectorHead
from ftlab.model import Model

FRAME = "frame"  # where the places of each input went, for targets that follow, as Where.packed
POOLED = "pooled"  # the vector that a head learns from, where the whole backbone is frozen

Values = tuple[Tensor, ...]  # each (b, ...)


@dataclass(frozen=True)
class Border:
    """The freeze border of a phase."""

    names: tuple[str, ...]  # of its values, in their order
    rest: Callable[[Batch], Features]  # of a batch whose `border` holds the values
    stages: frozenset[str]  # addresses of the stages that the values are computed by


class Borders:
    """The freeze borders of one model."""

    def __init__(self, model: Model, frame: Where | None = None) -> None:
        """`frame`: of a batch whose targets follow their inputs. Raises: UserError where the backbone cannot be
        traced."""
        self.model, self.own = model, () if frame is None else (FRAME,)
        self.framed_by_position = frame is not None and frame.ragged
        self.traced = model.backbone.traced()
        self._cut = lru_cache(maxsize=None)(self._cut_before)
        self._last: tuple[Any, Callable[[Batch], Values]] | None = None  # what the last copy was made of, and the copy

    def _cut_before(self, stages: frozenset[str]) -> tuple[Part, Part]:
        """(prefix, suffix) while the stages `stages` of the backbone train."""
        names = {n.removeprefix("backbone.model.") for s in self.model.stages if s.name in stages for n in s.parameters}
        resting_now = set(resting(self.model, stages, "train"))
        return self.traced.cut(names, [m for m in self.traced.network.modules() if m not in resting_now])

    def of(self, trainable: Collection[str]) -> Border | None:
        """The border while the stages `trainable` train; None if nothing is frozen before them.

        Raises: UserError where the backbone cannot be cut there.
        """
        model = self.model
        stages = {stage.name: stage.parameters for stage in model.stages if stage.name.startswith("backbone/")}
        thawed = frozenset(trainable).intersection(stages)
        prefix, suffix = self._cut(thawed)
        if not thawed and isinstance(model.head, VectorHead):
            return Border((POOLED, *self.own), lambda batch: Features(pooled=first(batch)), frozenset(stages))
        own = {f"backbone.model.{name}" for name in self.traced.parameters(prefix.names)}
        upstream = frozenset(stage for stage, parameters in stages.items() if own & set(parameters))
        if not upstream:
            return None
        return Border((*prefix.names, *self.own), lambda batch: self._go_on(suffix, batch), upstream)

    def _go_on(self, suffix: nn.Module, batch: Batch) -> Features:
        suffix.train(self.model.training)  # picks the trace; the layers follow their own modes
        values = batch.border or ()
        found: Features = suffix(*values[: len(values) - len(self.own)])
        return found

    def values(self, names: Sequence[str]) -> Callable[[Batch], Values]:
        """What computes the values `names` of a batch: a fast copy of the frozen part, with the weights of now.

        The last copy is given again while no weight has changed, until `forget`.
        """
        network = self.traced.network
        # torch counts the changes of a tensor in place.
        state = [(t.data_ptr(), t._version) for t in (*network.parameters(), *network.buffers())]
        made_of = (tuple(names), state)
        if self._last is None or self._last[0] != made_of:
            with torch.inference_mode(False):  # whoever is first to ask, and may not be the one who needs it later
                self._last = made_of, self._values(names)
        return self._last[1]

    def forget(self) -> None:
        """Let the last copy go, which is as large as the frozen part."""
        self._last = None

    def _values(self, names: Sequence[str]) -> Callable[[Batch], Values]:
        backbone, head = self.model.backbone, self.model.head
        inner, suffix = [name for name in names if name not in (POOLED, FRAME)], None
        if POOLED in names:
            prefix, suffix = self._cut(frozenset())
            inner += [name for name in prefix.names if name not in inner]
        run = self.traced.fast(inner) if inner else None

        def compute(batch: Batch) -> Values:
            found = dict(zip(inner, run(*backbone.inputs(batch)), strict=True)) if run else {}
            if batch.frame is not None:
                found[FRAME] = batch.frame.packed()
            if suffix is not None:
                assert isinstance(head, VectorHead)
                found[POOLED] = head.pooled(suffix.eval()(*(found[name] for name in prefix.names)))
            # As a cache gives them: a dropout draws its mask in the order in which the numbers lie.
            return tuple(found[name].contiguous() for name in names)

        return torch.no_grad()(compute)

    def is_ragged(self, name: str) -> bool:
        """Whether a value is of each position of its sample."""
        return self.framed_by_position if name == FRAME else self.traced.ragged and name != POOLED

    def digest(self, name: str) -> str:
        """A hash of all that decides the value `name` but the inputs: the graph, its weights and its buffers."""
        if name == FRAME:
            return name  # no weight decides it
        if name != POOLED:
            return self.traced.digest([name])
        head = self.model.head
        assert isinstance(head, VectorHead)
        prefix, _ = self._cut(frozenset())
        state = blake2b(digest_size=16)
        state.update(repr((self.traced.digest(prefix.names), head.pool, head.own_pool)).encode())
        update(state, self.model.backbone.state_dict())  # the neck, which no graph holds
        return state.hexdigest()


def first(batch: Batch) -> Tensor:
    assert batch.border is not None
    return batch.border[0]


def at_border(batch: Batch, values: Values) -> Batch:
    """The batch with these values in place of its inputs."""
    return replace(batch, border=values, inputs={})
