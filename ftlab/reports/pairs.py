"""Settings of a sweep held against the best of them, seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftlab.reports.sweep import SEEDS, by_mean, over_seeds, setting_of

TEST = "paired t-test over seeds, two-sided (scipy.stats.ttest_rel); Holm's correction for the number of settings"
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """The best setting less another one, over the seeds that both have a figure of."""

    overrides: Mapping[str, str]  # of the other one
    difference: float  # mean over seeds
    interval: tuple[float, float] | None  # of 95 %; None where all differences are equal, or there is one
    p: float | None  # None where the test says nothing: one seed, or no spread
    holm: float | None  # the same, corrected
    seeds: int


def pairs(rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """The best setting against each other one that has a figure, in the order of their means; empty without seeds."""
    spread = over_seeds(list(rows))  # type: ignore[arg-type]
    whole, fewer = by_mean(spread) if spread else ([], [])
    if not whole or whole[0]["mean"] is None:
        return []
    best = _by_seed(rows, whole[0]["overrides"])
    found = [_pair(best, _by_seed(rows, one["overrides"]), one["overrides"]) for one in [*whole[1:], *fewer]]
    return _corrected([one for one in found if one is not None])


def _by_seed(rows: Sequence[Mapping[str, Any]], setting: Mapping[str, str]) -> dict[tuple[str | None, ...], float]:
    own = [row for row in rows if setting_of(row) == setting and row["objective"] is not None]
    return {tuple(row["overrides"].get(key) for key in SEEDS): row["objective"] for row in own}


def _pair(best: Mapping[Any, float], other: Mapping[Any, float], overrides: Mapping[str, str]) -> Pair | None:
    import numpy as np
    from scipy.stats import ttest_rel

    seeds = [seed for seed in best if seed in other]
    if not seeds:
        return None
    left, right = np.array([best[seed] for seed in seeds]), np.array([other[seed] for seed in seeds])
    apart = left - right
    if len(seeds) < 2 or apart.std() < 1e-12:
        return Pair(overrides, float(apart.mean()), None, None, None, len(seeds))
    test = ttest_rel(left, right)
    low, high = test.confidence_interval(0.95)
    return Pair(overrides, float(apart.mean()), (float(low), float(high)), float(test.pvalue), None, len(seeds))


def _corrected(found: list[Pair]) -> list[Pair]:
    """Holm, 1979: the smallest p times the number of tests, the next times one less, never below one before."""
    order = sorted((one.p, place) for place, one in enumerate(found) if one.p is not None)
    highest, holm = 0.0, dict[int, float]()
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        holm[place] = highest
    return [
        Pair(one.overrides, one.difference, one.interval, one.p, holm.get(place), one.seeds)
        for place, one in enumerate(found)
    ]


def said(pair: Pair) -> str:
    """What the difference means, in words."""
    if pair.seeds < 2:
        return "one seed: nothing can be said"
    if pair.p is None:
        return "no spread: the same difference with every seed"
    return "beyond the spread" if pair.holm is not None and pair.holm < LEVEL else "within the spread"
