"""The rate of every group at every step: lr = optimizer.lr * rate of the stage * rate of the phase * schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftlab.schedules.base import Progress, Schedule
from ftlab.strategies.base import Phase, current, thaw


@dataclass(frozen=True)
class RatePlan:
    """All that decides rates: pure functions of the history and the step."""

    lr: float
    stages: dict[str, float]  # multiplier of each stage
    schedule: Schedule
    phases: Sequence[Phase]
    steps_per_epoch: int  # optimizer steps

    def begin(self, losses: Sequence[float | None]) -> dict[str, Progress]:
        """Where each stage that trains stands at the first step of the epoch after `losses`."""
        phase = self.phases[current(self.phases, losses).phase]
        return {stage: self._progress(stage, losses) for stage in phase.descending}

    def _progress(self, stage: str, losses: Sequence[float | None]) -> Progress:
        since = thaw(stage, self.phases, losses)
        assert since is not None, "only stages that descend have a rate"
        return Progress(
            step=since.epochs_done * self.steps_per_epoch,
            steps=since.epochs_planned * self.steps_per_epoch,
            steps_per_epoch=self.steps_per_epoch,
            losses=since.losses,
        )

    def at(self, phase: Phase, begun: dict[str, Progress], step: int) -> dict[str, float]:
        """The rate of each stage that trains in `phase`, `step` optimizer steps after the epoch has `begun`."""
        return {
            stage: rate * self.schedule.multiplier(replace(begun[stage], step=begun[stage].step + step))
            for stage, rate in self.base(phase).items()
        }

    def base(self, phase: Phase) -> dict[str, float]:
        """The full rate of each stage that trains in `phase`, before its schedule; for the plan."""
        return {stage: self.lr * self.stages[stage] * phase.rates[stage] for stage in phase.descending}

    def curve(
        self,
        losses: Sequence[float | None],
        points: int = 200,
        factor: Callable[[int, int], float] = lambda epoch, step: 1.0,
    ) -> dict[str, Any]:
        """{epoch: [...], groups: {stage: [rate or None]}} over the epochs that were run, about `points` points.

        `factor(epoch, step)` is what else multiplied the rate: 1, or less after a rollback.
        """
        epochs = len(losses)
        each = max(1, min(self.steps_per_epoch, points // max(1, epochs)))
        steps = sorted({round(i * (self.steps_per_epoch - 1) / max(1, each - 1)) for i in range(each)})
        marks = [(epoch, step) for epoch in range(epochs) for step in steps]
        begun = [self.begin(losses[:epoch]) for epoch in range(epochs)]
        phases = [self.phases[current(self.phases, losses[:epoch]).phase] for epoch in range(epochs)]
        rates = [
            {stage: rate * factor(epoch, step) for stage, rate in self.at(phases[epoch], begun[epoch], step).items()}
            for epoch, step in marks
        ]
        return {
            "epoch": [epoch + step / self.steps_per_epoch for epoch, step in marks],
            "groups": {stage: [at.get(stage) for at in rates] for stage in self.stages},
        }
