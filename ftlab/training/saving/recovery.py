"""What a run does when its numbers go bad: a loss, a gradient or a weight that is nan or infinite.

It acts before the optimizer's step, so that no bad number reaches a weight; nonfinite.py decides.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import Tensor

from ftlab.errors import UserError
from ftlab.training.finetuner import FineTuner
from ftlab.training.phases.unfreezing import Unfreezing
from ftlab.training.saving.files import LAST
from ftlab.training.saving.loading import read_checkpoint
from ftlab.training.saving.nonfinite import (
    ROLLBACKS,
    WAYS_OUT,
    Event,
    Policy,
    all_finite,
    decide,
    told,
    weights_are_finite,
)


class Recovery(Callback):
    """Stops, leaves a step out, or goes back to the last good weights."""

    def __init__(self, policy: Policy, folder: Path, unfreezing: Unfreezing) -> None:
        self.policy: Policy = policy
        self.folder, self.unfreezing = folder, unfreezing  # the run's checkpoints; whose thaw a rollback repeats
        self.events: list[Event] = []
        self.in_a_row = 0  # steps left out since the last good one
        self.start: dict[str, Tensor] = {}  # the weights of the run's start, until there is a checkpoint
        self.kept: list[tuple[Tensor, Tensor]] = []  # statistics of BatchNorm with their values before the step

    # --- state, in the checkpoint

    def state(self) -> dict[str, Any]:
        return {"events": self.events, "in_a_row": self.in_a_row}

    def load(self, state: dict[str, Any]) -> None:
        self.events, self.in_a_row = list(state.get("events", [])), int(state.get("in_a_row", 0))

    # --- what is needed to go back

    def on_train_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if self.policy == "rollback" and not (self.folder / LAST).exists():
            self.start = {name: value.cpu().clone() for name, value in pl_module.state_dict().items()}

    def on_train_batch_start(self, trainer: Trainer, pl_module: FineTuner, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        if self.policy == "skip" and batch_idx % trainer.accumulate_grad_batches == 0:
            moving = [b for m in pl_module.model.modules() if m.training for b in m.buffers(recurse=False)]
            self.kept = [(b, b.clone()) for b in moving]

    # --- weights, before they are judged and saved

    def on_validation_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self._look_at_weights(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        self._look_at_weights(trainer, pl_module)

    def _look_at_weights(self, trainer: Trainer, module: FineTuner) -> None:
        """A finite gradient times a huge rate can still spoil a weight; the ranks hold the same weights."""
        if not weights_are_finite(module.model):
            self.act(
                trainer, module, "a weight is not finite", step=max(0, module.batches - 1), places=[], may_skip=False
            )

    # --- gradients, before the optimizer's step

    def is_bad(self, trainer: Trainer, total: float, length: float, gradients: Sequence[Tensor]) -> str | None:
        """What is not finite, if anything; `total` and `length` are of the loss and the gradient over all ranks."""
        if not math.isfinite(total):
            return f"the training loss is {total}"
        if math.isfinite(length) or all_finite(gradients):
            return None
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        # With fp16 an overflow is in order: the scaler leaves the step out and halves its scale, down to 1.
        return None if scaler is not None and scaler.get_scale() > 1 else "the gradient is not finite"

    def act(
        self, trainer: Trainer, module: FineTuner, what: str, step: int, places: Sequence[int], may_skip: bool = True
    ) -> None:
        """Raises: UserError where the run ends. `places` are samples of the train split, the first of the batch."""
        names = [module.sample_name(place) for place in places]
        event = {"epoch": trainer.current_epoch, "step": step, "phase": module.running.name, "what": what}
        done = decide(self.policy, self.in_a_row, sum(e["done"] == "rollback" for e in self.events))
        done = "stop" if done == "skip" and not may_skip else done
        event |= {"names": names, "done": done}
        if done == "stop":
            raise UserError(self._last_words(event))
        self.events.append(event)
        module.model.zero_grad(set_to_none=True)  # an optimizer passes over what has no gradient
        if done == "skip":
            self.in_a_row += 1
            for buffer, before in self.kept:
                buffer.copy_(before)
        else:
            self._roll_back(trainer, module)

    def good(self) -> None:
        self.in_a_row = 0

    def _last_words(self, event: Event) -> str:
        tried = {
            "stop": "or set on_nonfinite=skip|rollback",
            "skip": f"on_nonfinite=skip has left out {self.in_a_row} steps in a row",
            "rollback": f"on_nonfinite=rollback has gone back {ROLLBACKS} times, to an eighth of the rate",
        }[self.policy]
        return f"{told(event)}, before the optimizer's step; the last checkpoint is as it was. {WAYS_OUT}; {tried}."

    def _roll_back(self, trainer: Trainer, module: FineTuner) -> None:
        """Weights and optimizer as of the last checkpoint, or of the start; the data goes on where it is."""
        optimizer: Any = module.optimizers(use_pl_optimizer=False)
        path = self.folder / LAST
        if not path.exists():
            module.load_state_dict(self.start)
            optimizer.state.clear()
            return
        saved = read_checkpoint(path)
        module.load_state_dict(saved["state_dict"])
        optimizer.load_state_dict(saved["optimizer_states"][0])
        if at_the_end_of_an_epoch(saved):  # what began with the running epoch, a thaw or best weights, is not in it
            self.unfreezing.on_train_epoch_start(trainer, module)


def at_the_end_of_an_epoch(saved: dict[str, Any]) -> bool:
    return bool(saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"])
