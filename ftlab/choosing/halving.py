"""Which of the proposals get how many epochs, within a time: arithmetic.

Successive halving: all that is proposed trains for a part of the epochs, and only what is ahead of the same short run
of what stands trains for all of them. Source: Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization"; a third, as Li et al. 2018, "Hyperband".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.choosing.rules import Proposal, together
from ftlab.errors import UserError

PART = 3  # of the epochs, and of the proposals that go on
LEAST = 4  # epochs of a short run: strategies with phases need one for each
FINALISTS = 2  # at least, beside what they are together
GAIN = 1e-4  # of a figure, below which a difference is rounding
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
TIME = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|min|h)$")


@dataclass(frozen=True)
class Result:
    """A proposal and the objective that a short run of it had, higher being better; None: it has none."""

    proposal: Proposal
    value: float | None


def is_ahead(value: float, other: float) -> bool:
    """Whether a figure, higher being better, is better by more than rounding."""
    return value - other > GAIN * abs(other)


def seconds(text: str) -> float:
    """90s, 10min, 1.5h. Raises: UserError."""
    found = TIME.match(text)
    if found is None or not float(found[1]):
        raise UserError(f"time={text}: expected a number with its unit: 90s, 10min, 1.5h")
    return float(found[1]) * UNITS[found[2]]


def short(epochs: int) -> int:
    """The epochs of a short run."""
    return min(epochs, max(LEAST, -(-epochs // PART)))


def price(one: Proposal, whole: float, part: float) -> float:
    """Seconds that a run of a proposal takes; whole: of a run of what stands, part: of its epochs. What is not
    training (reading, judging) is in `whole` too, so this is rather too much."""
    return whole * (1 / LEAST if one.one_epoch else one.cost * part)


def finalists(results: Sequence[Result], reference: float | None) -> list[Proposal]:
    """What trains for all epochs: what all that is ahead of the reference is together, then the best third, of those
    that are behind the reference as many as FINALISTS leaves room for."""
    known = [one for one in results if one.value is not None and not one.proposal.one_epoch]
    ranked = sorted(known, key=lambda one: -(one.value or 0.0))  # stable: of equal ones the first proposed
    ahead = [one.proposal for one in ranked if reference is None or is_ahead(one.value or 0.0, reference)]
    whole = together(ahead)
    count = max(FINALISTS, -(-len(known) // PART))
    return [*([whole] if whole else []), *(one.proposal for one in ranked[:count])]
