"""Whether it was worth it to train more of the network, by the figures of val: what is to be said where it was not.

Two figures judge, the monitored one and the task's objective, and both must have lost: a loss that grows while the
accuracy does too is no thaw that failed. What they may differ by and mean nothing is `Judge.noise`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ftlab.assembly import Parts
from ftlab.reports import numbers
from ftlab.strategies.base import Phase, Span, spans
from ftlab.training.phases.history import best_epoch

RELATIVE = 0.1  # of a figure without a scale: what is lost must be more than this part of it


@dataclass(frozen=True)
class Judge:
    """A figure of val over the epochs."""

    name: str
    losses: Sequence[float | None]  # one an epoch, lower is better, see history.losses
    sign: float  # 1 where the figure itself is better when it is lower, else -1
    samples: int  # of val
    scale: tuple[float, float] | None = None  # from where to where the figure goes; None: it has no end

    def value(self, epoch: int) -> float:
        found = self.losses[epoch]
        assert found is not None, "the best epoch has a value"
        return self.sign * found

    def best(self, first: int, end: int | None = None) -> int | None:
        return best_epoch(self.losses[:end], first)

    def noise(self, epoch: int, other: int) -> float:
        """What the figures of two epochs may differ by without meaning anything.

        With a scale: two standard errors of the difference of two means of `samples` scores on it, whose variance is at
        most (high - mean) (mean - low) (Bhatia and Davis 2000); for an accuracy that is the binomial one. Without: a
        tenth of the first, and with fewer than 400 samples 2 / sqrt(samples) of it, two standard errors of what
        scatters as widely as its mean.
        """
        values = self.value(epoch), self.value(other)
        if self.scale is not None and all(self.scale[0] <= value <= self.scale[1] for value in values):
            low, high = self.scale
            return 2 * math.sqrt(sum((high - value) * (value - low) for value in values) / self.samples)
        return max(RELATIVE, 2 / math.sqrt(self.samples)) * abs(values[0])

    def is_better(self, epoch: int, other: int) -> bool:
        """Whether the figure of `epoch` is better than that of the other, beyond noise."""
        gain = self.sign * (self.value(other) - self.value(epoch))
        return gain > self.noise(epoch, other)


class Lost(NamedTuple):
    """A phase that thawed stages, after which no epoch came back to the best of the phase before it."""

    phase: int
    before: int  # the best epoch of the phase before it
    first: int  # its own first epoch that was measured
    since: int  # the best epoch from there to the end of the run


def lost(judges: Sequence[Judge], phases: Sequence[Phase], begun: Sequence[Span]) -> list[Lost]:
    """The thaws that cost more than they brought, by all judges; the epochs are of the first of these."""
    found = []
    for before, span in pairwise(begun):
        if set(phases[span.phase].trainable) <= set(phases[before.phase].trainable):
            continue  # nothing thawed
        pairs = [(j.best(before.first_epoch, span.first_epoch), j.best(span.first_epoch)) for j in judges]
        if all(_is_lost(judge, *pair) for judge, pair in zip(judges, pairs, strict=True)):
            (best, since), values = pairs[0], judges[0].losses
            assert best is not None
            assert since is not None
            first = next(e for e in range(span.first_epoch, len(values)) if values[e] is not None)
            found.append(Lost(span.phase, best, first, since))
    return found


def _is_lost(judge: Judge, before: int | None, since: int | None) -> bool:
    return before is not None and since is not None and judge.is_better(before, since)


def warnings(judges: Sequence[Judge], phases: Sequence[Phase], ways: Sequence[str]) -> list[str]:
    """What is to be said of phases that were not worth it; `ways`: what to try, as one types it.

    judges: the monitored figure first.
    """
    begun = [span for span in spans(phases, judges[0].losses) if span.epochs]
    found = lost(judges, phases, begun)
    said = [f"{_cost(judges[0], phases, one)}{_tries(ways)}" for one in found]
    later = judges[0].best(begun[1].first_epoch) if len(begun) > 1 else None
    if later is None or any(one.phase == 1 for one in found):
        return said
    more = ["more epochs (trainer.max_epochs)"] if later == len(judges[0].losses) - 1 else []
    unbeaten = _unbeaten(judges, phases[0], begun[1].first_epoch, later)
    return [*said, f"{unbeaten}{_tries([*more, *ways])}"] if unbeaten else said


def _cost(judge: Judge, phases: Sequence[Phase], one: Lost) -> str:
    shown = numbers.figures(judge.value(epoch) for epoch in (one.before, one.first, one.since))
    back = "nothing better" if one.since == one.first else f"at best {shown[2]} (epoch {one.since + 1})"
    return (
        f"phase {one.phase + 1} ({phases[one.phase].name}) cost more than it brought: val {judge.name} was {shown[0]} "
        f"(epoch {one.before + 1}), then {shown[1]} (epoch {one.first + 1}) and {back} since"
    )


def _unbeaten(judges: Sequence[Judge], first: Phase, second: int, later: int) -> str:
    """That the first phase was the best, and by which other figure it was not; nothing where another one was.

    second: the epoch in which the second phase began. later: the best one from there on.
    """
    judge, best = judges[0], judges[0].best(0)
    if best is None or best >= second:
        return ""
    shown = numbers.figures([judge.value(best), judge.value(later)])
    text = f"no later phase beat the first ({first.name}): val {judge.name} was {shown[0]} (epoch {best + 1})"
    text += f", later at best {shown[1]} (epoch {later + 1})"
    for other in judges[1:]:
        top = other.best(0)
        if top is not None and other.losses[best] is not None and other.is_better(top, best):
            mine, its = numbers.figures([other.value(best), other.value(top)])
            text += f"; by {other.name} epoch {top + 1} was better ({its}, and {mine} in epoch {best + 1}): "
            text += f"monitor={other.name} keeps that one"
    return text


def _tries(ways: Sequence[str]) -> str:
    if not ways:
        return ""
    return f"; try {' or '.join(filter(None, (', '.join(ways[:-1]), ways[-1])))}"


def ways(parts: Parts, slower: str) -> list[str]:
    """What a run can still try where a thaw cost more than it brought."""
    found = {
        slower: bool(slower),
        "rates=layer_decay": len(set(parts.rates.values())) == 1,
        "schedule.warmup=1": parts.schedule.warmup < 1,
        "augment=light": parts.preprocessing.pixels and not parts.augment.random,
    }
    return [way for way, is_new in found.items() if is_new]
