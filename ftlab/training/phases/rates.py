"""The rate of every group at every step: lr = optimizer.lr * rate of the stage * rate of the phase * schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ftlab.schedules.base import Progress, Schedule
from ftlab.strategies.base import Phase, current, thaw

POINTS = 200  # of a curve, about
Point = Sequence[Any]  # [the share of an epoch that was done, {stage: rate}]


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

    def at(self, phase: Phase, begun: dict[str, Progress], step: int, factor: float = 1.0) -> dict[str, float]:
        """The rate of each stage that trains in `phase`, `step` optimizer steps after the epoch has `begun`.

        factor: what else multiplies it.
        """
        return {
            stage: rate * self.schedule.multiplier(replace(begun[stage], step=begun[stage].step + step)) * factor
            for stage, rate in self.base(phase).items()
        }

    def base(self, phase: Phase) -> dict[str, float]:
        """The full rate of each stage that trains in `phase`, before its schedule; for the plan."""
        return {stage: self.lr * self.stages[stage] * phase.rates[stage] for stage in phase.descending}

    @cached_property
    def marks(self) -> list[int]:
        """The steps of each epoch whose rates are written down as they run."""
        return self._marks(sum(phase.epochs for phase in self.phases), POINTS)

    def _marks(self, epochs: int, points: int) -> list[int]:
        each = max(1, min(self.steps_per_epoch, points // max(1, epochs)))
        return sorted({round(i * (self.steps_per_epoch - 1) / max(1, each - 1)) for i in range(each)})

    def curve(
        self,
        losses: Sequence[float | None],
        points: int = POINTS,
        factor: Callable[[int, int], float] = lambda epoch, step: 1.0,
        ran: Sequence[Sequence[Point]] = (),
    ) -> dict[str, Any]:
        """{epoch: [...], groups: {stage: [rate or None]}, planned: [...]} over the epochs that were run.

        ran: what each epoch wrote down. Those that wrote nothing, as in earlier versions, are as this plan has them,
        about `points` points in all, and named by `planned`. `factor(epoch, step)` is what else multiplied their rate:
        1, or less after a rollback.
        """
        steps, found = self._marks(len(losses), points), dict(enumerate(ran))
        planned = [epoch for epoch in range(len(losses)) if not found.get(epoch)]
        for epoch in planned:
            begun = self.begin(losses[:epoch])
            phase = self.phases[current(self.phases, losses[:epoch]).phase]
            found[epoch] = [
                [step / self.steps_per_epoch, self.at(phase, begun, step, factor(epoch, step))] for step in steps
            ]
        drawn = [(epoch + share, rates) for epoch in range(len(losses)) for share, rates in found[epoch]]
        return {
            "epoch": [epoch for epoch, _ in drawn],
            "groups": {stage: [rates.get(stage) for _, rates in drawn] for stage in self.stages},
            "planned": planned,
        }
