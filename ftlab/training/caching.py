"""The callback that gives each phase the values at its freeze border: computed once and kept, or faster than before.

What it decides is decided by cache/decide.py. Its choices are saved in the checkpoint, for a resume.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ftlab.batch import Batch
from ftlab.cache.before import choices, look, views
from ftlab.cache.borders import Values
from ftlab.cache.decide import KEPT, Choice, Need, Place, groups
from ftlab.cache.kept import Kept, fill
from ftlab.cache.keys import fingerprint, key
from ftlab.cache.rows import RaggedRows, Rows
from ftlab.cache.settings import CacheSettings
from ftlab.cache.shelf import Shelf, Slot
from ftlab.training.finetuner import FineTuner
from ftlab.training.precision import of_weights, unrounded
from ftlab.training.trials.memory import trim

SPLITS = ("train", "val")
BATCH = 64  # samples that the frozen part takes at once, if that is at most twice the batch size of the training


class Caching(Callback):
    """After Unfreezing, which has frozen by then."""

    def __init__(self, settings: CacheSettings, console: Console) -> None:
        self.settings, self.console = settings, console
        self.phase: int | None = None  # that the values are there for

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if self.settings.mode == "off":
            return
        device = pl_module.device
        self.shelf = Shelf(self.settings, trainer.strategy, trainer.global_rank, trainer.world_size, device)
        self.data = pl_module.data(rank=trainer.global_rank, world=trainer.world_size)
        phases = pl_module.plan.phases
        prepare = partial(ready, trainer)
        probed, self.borders = look(
            pl_module.model, phases, self.data, self.settings, prepare, unrounded(trainer.precision_plugin)
        )
        self.probed = trainer.strategy.broadcast(probed)  # each has seen other samples, and all must decide the same
        supply, names, own = pl_module.supply, [phase.name for phase in phases], asdict(self.settings)
        # Else they are those of the run that goes on, with the same settings and as many epochs.
        if [choice.phase for choice in supply.choices] != names or supply.settings != own:
            found = choices(self.probed, self.data, self.settings, trainer.num_nodes)
            supply.choices, supply.settings = trainer.strategy.broadcast(found), own
        if pl_module.interrupted:  # Lightning does not call on_train_epoch_start for an epoch that goes on
            self._begin(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if self.settings.mode != "off":
            self._begin(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        told = pl_module.supply.told.get(pl_module.running.name)
        if told is not None:
            told["read"] += sum(kept.take_read() for kept in pl_module.supply.kept.values())

    def on_train_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self._end(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: FineTuner, exception: BaseException) -> None:  # type: ignore[override]
        self._end(pl_module)

    def _end(self, module: FineTuner) -> None:
        module.supply.switch()
        if hasattr(self, "shelf"):
            self.shelf.keep_only(())

    # --- a phase

    def _begin(self, trainer: Trainer, module: FineTuner) -> None:
        self._supply(trainer, module)
        if self.borders is not None:
            self.borders.forget()

    def _supply(self, trainer: Trainer, module: FineTuner) -> None:
        at = [phase.name for phase in module.plan.phases].index(module.phase.name)
        if at == self.phase:
            return
        self.phase = at
        choice, need = module.supply.choices[at], self.probed.needs[at]
        told = module.supply.told.setdefault(need.phase, {**asdict(choice), "seconds": 0.0, "computed": 0, "read": 0})
        told |= asdict(choice)  # another one than before where the phases of a run that goes on have other epochs
        told |= {"bytes": 0, "found": 0, "computed": 0, "peak_memory_bytes": None}  # a run that goes on does it again
        told |= {"seconds_per_sample": self.probed.seconds.get(need.phase, 0.0)}
        wanted = self._slots(module.supply.choices, at)
        self.shelf.keep_only(wanted)
        if self.borders is None or not need.names or choice.train == "off":
            return module.supply.switch()
        start = time.perf_counter()
        module.peak.reset()
        for split, varied in ((split, varied) for split in SPLITS for varied in (False, True)):
            these = {slot: place for slot, place in wanted.items() if (slot.split, slot.varied) == (split, varied)}
            if any(slot.name in need.names and slot not in self.shelf.rows for slot in these):
                self._provide(trainer, module, these, told)
        told["seconds"] += time.perf_counter() - start
        told["peak_memory_bytes"] = module.peak.increase()
        trim()  # else the epochs would seem to need what the pass needed
        kept = {
            split: self._kept(split, at)
            for split in SPLITS
            if Slot(split, self._is_varied(split, need), need.names[0]) in wanted
        }
        live = self.borders.values(need.names) if "live" in (choice.train, choice.val) else None
        border = self.borders.of(need.trains)
        assert border is not None
        module.supply.switch(border.rest, kept, live)

    def _slots(self, choices: Sequence[Choice], at: int) -> dict[Slot, Place]:
        """What this phase, and the later ones that the same pass serves, take from the shelf."""
        needs = self.probed.needs
        together = next((group for group in groups(needs) if needs[at] in group), [])
        return {
            Slot(split, self._is_varied(split, need), name): getattr(choice, split)
            for need, choice in reversed(list(zip(needs, choices, strict=True))[at:])
            if need in together
            for split in SPLITS
            if getattr(choice, split) in KEPT and split in self.data.spec.sizes
            for name in need.names
        }

    def _is_varied(self, split: str, need: Need) -> bool:
        return split == "train" and self.data.augment.random and not need.plain

    def _kept(self, split: str, at: int) -> Kept:
        need = self.probed.needs[at]
        varied = self._is_varied(split, need)
        rows = [self._rows(Slot(split, varied, name)) for name in need.names]
        turns = views(self.settings, self.data.augment) if varied else 1
        return Kept(rows, self.data.samples(split), self.data.spec.target, turns)

    def _provide(self, trainer: Trainer, module: FineTuner, wanted: Mapping[Slot, Place], told: dict[str, Any]) -> None:
        """Find on disk, or compute by one pass over the split, all that is wanted and not there."""
        shapes, names = self.probed.shapes, []
        missing = [slot for slot in wanted if slot not in self.shelf.rows]
        for slot in missing:
            place = wanted[slot]
            name = self._key(trainer, slot) if place == "disk" else None
            if not self.shelf.find(slot, name, shapes[slot.name]):
                about = {
                    "network": module.model.backbone.name,
                    "value": slot.name,
                    "data": self.data.spec.name,
                    "split": slot.split,
                }
                self.shelf.prepare(slot, self._count(slot), shapes[slot.name], place, name, about)
                names.append(slot)
        told["found"] += len(missing) - len(names)
        told["bytes"] += sum(self.shelf.rows[slot].array.nbytes for slot in missing)
        if names:
            self._pass(trainer, names)
            told["computed"] += self._samples(names[0])  # all are of one split
            for kept in KEPT:
                self.shelf.filled([slot for slot in names if wanted[slot] == kept], kept)

    def _pass(self, trainer: Trainer, slots: Sequence[Slot]) -> None:
        """Compute the values of `slots`, which are of one split."""
        split, varied = slots[0].split, slots[0].varied
        samples = len(self.data.samples(split))
        rows = [self._rows(slot) for slot in slots]
        with torch.inference_mode():
            assert self.borders is not None
            compute = unrounded_in(trainer, self.borders.values([slot.name for slot in slots]))
            for view in range(views(self.settings, self.data.augment) if varied else 1):
                loader = self.data.in_order(split, view if varied else None, self._batch_size(), by_length=True)
                batches = track(
                    map(partial(ready, trainer), loader),
                    f"the frozen part, {split}",
                    len(loader),
                    console=self.console,
                    transient=True,
                    disable=not self.console.is_terminal,
                )
                fill(rows, compute, batches, view * samples)

    def _samples(self, slot: Slot) -> int:
        return len(self.data.samples(slot.split)) * (views(self.settings, self.data.augment) if slot.varied else 1)

    def _positions(self, slot: Slot) -> Tensor | None:
        """Of each sample, where its value is one of each position."""
        return self.data.positions(slot.split) if self.probed.shapes[slot.name].ragged else None

    def _count(self, slot: Slot) -> int:
        """Rows."""
        positions = self._positions(slot)
        return self._samples(slot) if positions is None else int(positions.sum())

    def _rows(self, slot: Slot) -> Rows | RaggedRows:
        rows, positions = self.shelf.rows[slot], self._positions(slot)
        return rows if positions is None else RaggedRows(rows, positions)

    def _batch_size(self) -> int:
        """A global one, over all processes."""
        own = self.data.batch_size
        return max(own, min(2 * own, BATCH * self.data.world))

    def _key(self, trainer: Trainer, slot: Slot) -> str | None:
        """The name of an entry on disk; None where nothing tells these samples from others."""
        data, borders = self.data, self.borders
        samples = fingerprint(data.samples(slot.split).inputs)
        if samples is None or borders is None:
            return None
        variation = (data.augment, data.seed, views(self.settings, self.data.augment)) if slot.varied else None
        shape = self.probed.shapes[slot.name]
        how = (
            shape,
            self.settings.dtype,
            of_weights(trainer),
            trainer.strategy.root_device.type,
            self._batch_size(),
        )
        made = (data.preprocessing.stored(), data.preprocessing.first_key())
        return key(borders.digest(slot.name), samples, made, variation, how)


def ready(trainer: Trainer, batch: Batch) -> Batch:
    """On the device, in the precision of the training."""
    found: Batch = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))
    return found


def unrounded_in(trainer: Trainer, compute: Callable[[Batch], Values]) -> Callable[[Batch], Values]:
    """`compute` in the precision of the weights; what loads the batches must not be inside: it would prepare the
    images in half precision too where the weights have it."""

    def run(batch: Batch) -> Values:
        with unrounded(trainer.precision_plugin):
            return compute(batch)

    return run
