"""What a curve of losses over rising rates suggests as the learning rate; arithmetic."""

import math
from collections.abc import Sequence
from itertools import pairwise

MEMORY = 0.9  # of the smoothed loss
BLOWN = 4.0  # times the least loss, at which a test ends, if that is also above the first: no higher rate is of use
LEAST = 0.1  # of the first loss: less of a fall is chance, or the first harm of a head that had been fitted
SKIPPED = 0.1  # of the steps, the first ones, which say more of the batch than of the rate


def rising(low: float, high: float, steps: int) -> list[float]:
    """`steps` rates from `low` to `high`, each the same multiple of the one before."""
    return [low * (high / low) ** (step / max(1, steps - 1)) for step in range(steps)]


def smoothed(losses: Sequence[float]) -> list[float]:
    """The mean of all losses so far, weighted towards the last ones; as Adam's first moment, without its bias."""
    mean, found = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        found.append(mean / (1 - MEMORY**step))
    return found


def is_blown(losses: Sequence[float]) -> bool:
    """Whether the last of some smoothed losses says that the rate is far too high. They may be below 0: what hard
    batches lose is counted from the loss of the first one."""
    rise = losses[-1] - min(losses)
    return not math.isfinite(losses[-1]) or rise > max((BLOWN - 1) * min(losses), abs(losses[0]))


def suggestions(rates: Sequence[float], losses: Sequence[float]) -> dict[str, float]:
    """{steepest, valley, minimum}: rates, of a smoothed curve; none where the loss falls by less than LEAST.

    steepest: where the loss falls fastest over the logarithm of the rate (Smith 2017, "Cyclical Learning Rates for
    Training Neural Networks"). valley: two thirds into the longest fall, in steps. minimum: a tenth of the rate of
    the least loss.
    """
    first = int(SKIPPED * len(rates))
    kept, curve = list(rates[first:]), list(losses[first:])
    fall = longest_fall(curve)
    if len(fall) < 2 or min(curve) > (1 - LEAST) * losses[0]:
        return {}
    slopes = [(after - before) for before, after in pairwise(curve)]  # the rates are equally far apart
    return {
        "steepest": kept[slopes.index(min(slopes))],
        "valley": kept[fall[(2 * len(fall)) // 3]],
        "minimum": kept[curve.index(min(curve))] / 10,
    }


def longest_fall(losses: Sequence[float]) -> list[int]:
    """The places of the longest subsequence of which each value is below the one before; the first of equals."""
    lengths, before = [1] * len(losses), [-1] * len(losses)
    for place, loss in enumerate(losses):
        for earlier in range(place):
            if losses[earlier] > loss and lengths[earlier] + 1 > lengths[place]:
                lengths[place], before[place] = lengths[earlier] + 1, earlier
    place, found = lengths.index(max(lengths)) if lengths else -1, []
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]
