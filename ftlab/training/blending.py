"""After training: the weights between the start of the run and its end that val likes best.

The start is the pretrained network under the head that was fitted to it in closed form, the end is what training has
kept; what lies between them is often better than both, and forgets less. (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models", WiSE-FT.)
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.assembly import Parts
from ftlab.blocks import Axes, Block, Chart, Heading, Line, Rule
from ftlab.data.module import DataModule
from ftlab.reports import numbers
from ftlab.run_settings import RunSettings
from ftlab.tasks.monitor import Monitor
from ftlab.training.finetuner import FineTuner
from ftlab.training.phases.history import best_epoch
from ftlab.training.trials.batch_size import alone
from ftlab.training.trials.range_test import begun

STEPS = 10  # from the start to the end
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Blended:
    """What val says of the weights between start and end."""

    epoch: int  # whose weights are the end
    monitor: str
    shares: list[float]  # of the way from the start, 0, to the end, 1
    values: list[float | None]  # of the monitored figure; None: it is undefined there
    chosen: float

    def told(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        at = dict(zip(self.shares, self.values, strict=True))
        shown = [numbers.figure(at[share]) for share in (self.chosen, 0.0, 1.0)]
        where = f"{self.chosen:.0%} of the way from start to end"
        return f"blend=wise_ft: {where}, val {self.monitor} {shown[0]} (start {shown[1]}, end {shown[2]})"

    def blocks(self) -> list[Block]:
        known = [(s, v) for s, v in zip(self.shares, self.values, strict=True) if v is not None]
        line = Line([s for s, _ in known], [v for _, v in known], dots=True)
        axes = Axes([line, Rule(self.chosen, upright=True)], x="share of the way to the end", y=f"val {self.monitor}")
        return [Heading("Between start and end"), Chart([axes], "figure of val between start and end", self.line())]


def kept(finetuner: FineTuner, blends: bool) -> int:
    """The epoch whose weights training leaves: the best one, or the last where none is.

    To go back from the start itself is to go nowhere: where that is the best, what lies before the last is looked at.
    """
    best, history = best_epoch(finetuner.losses), finetuner.history
    at_start = blends and best is not None and history[best]["phase"] == finetuner.plan.phases[0].name
    return len(history) - 1 if best is None or at_start else best


def start_of(parts: Parts, settings: RunSettings, data: DataModule) -> Weights:
    """The weights of the network as gradient descent will find it; before anything has trained it."""
    with torch.random.fork_rng():
        state = begun(parts, data, alone(settings.trainer)).state_dict()
    return {name: value.detach().cpu().clone() for name, value in state.items()}


@torch.no_grad()
def blend(
    model: nn.Module, start: Mapping[str, Tensor], epoch: int, figure: Callable[[], float | None], by: Monitor
) -> Blended:
    """Leave in `model` the weights between `start` and its own, of `epoch`, by which `figure` is best; of equals the
    nearest to its own. Whole numbers, such as counts of batches, stay its own."""
    end = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    shares = [step / STEPS for step in range(STEPS + 1)]
    values: list[float | None] = []
    for share in shares:
        model.load_state_dict(between(start, end, share))
        values.append(figure())
    known = [(by.sign * value, -share) for share, value in zip(shares, values, strict=True) if value is not None]
    chosen = -min(known)[1] if known else 1.0
    model.load_state_dict(between(start, end, chosen))
    return Blended(epoch, by.name, shares, values, chosen)


def between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> Weights:
    if share == 1:  # to the bit
        return dict(end)
    return {name: start[name].lerp(value, share) if value.is_floating_point() else value for name, value in end.items()}
