"""Where the batches of the running phase come from: inputs, kept values, or values computed at each step."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ftlab.backbones.base import Features
from ftlab.batch import Batch
from ftlab.cache.borders import Values, at_border
from ftlab.cache.decide import Choice
from ftlab.cache.kept import Kept
from ftlab.data.module import Loader
from ftlab.model import Model


class Supply:
    """What the callback Caching sets and the training reads."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.choices: list[Choice] = []  # one a phase
        self.settings: dict[str, Any] = {}  # of the cache, that these choices were made by
        self.told: dict[str, dict[str, Any]] = {}  # by phase: its choice, and what came of it
        self.kept: Mapping[str, Kept] = {}  # by split
        self.live: Callable[[Batch], Values] | None = None
        self.loaders: list[tuple[str, Loader]] = []  # all of a run, with the split of each

    def of(self, split: str, loader: Loader) -> Loader:
        """The loader, which from now on gives what is kept of its split."""
        self.loaders.append((split, loader))
        loader.kept = self.kept.get(split)
        return loader

    def switch(
        self,
        rest: Callable[[Batch], Features] | None = None,
        kept: Mapping[str, Kept] | None = None,
        live: Callable[[Batch], Values] | None = None,
    ) -> None:
        """From now on the head follows `rest`, on values at the freeze border: a split's `kept` ones, else `live` ones.

        Without any: the whole model, on inputs.
        """
        self.model.rest, self.kept, self.live = rest, kept or {}, live
        for split, loader in self.loaders:
            loader.kept = self.kept.get(split)

    def at_border(self, batch: Batch) -> Batch:
        """The batch as `model.rest` takes it."""
        return at_border(batch, self.live(batch)) if self.live and batch.border is None else batch

    def state(self) -> dict[str, Any]:
        """For a checkpoint, in plain containers."""
        return {
            "choices": [asdict(choice) for choice in self.choices],
            "settings": self.settings,
            "told": self.told,
        }

    def load(self, state: Mapping[str, Any], keeps: bool = True) -> None:
        """Go on with what a checkpoint tells, and with its choices if it `keeps` them; one of before there was a cache
        has none."""
        self.choices = [Choice(**choice) for choice in state.get("choices", [])] if keeps else []
        self.settings = dict(state.get("settings", {}))
        self.told = dict(state.get("told", {}))
