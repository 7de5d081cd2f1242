"""Whether a file of a network says what the network says.

Shapes: b batch.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.portable.formats import Runner
from ftlab.portable.network import Portable
from ftlab.tasks.base import Task
from ftlab.tasks.classification import Classification
from ftlab.tasks.multilabel import Multilabel

MOST = 1e-3  # difference of two answers


@dataclass(frozen=True)
class Check:
    samples: int
    of: str  # where they come from
    difference: float  # the largest, of a share of the largest answer where that is above 1
    equal: float | None  # share of samples with the same class, or the same labels; None of numbers

    def told(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        same = "" if self.equal is None else f"; {self.equal:.1%} of the answers are equal"
        return f"checked on {self.samples} {self.of}: the largest difference is {self.difference:.1e}{same}"


def check(run: Runner, network: Portable, inputs: Sequence[Tensor], of: str) -> Check:
    """All samples at once, and the first by itself: any number of them must go.

    Raises: UserError where answers differ by more than MOST.
    """
    with torch.inference_mode():
        expected = network(*inputs)
    found = torch.cat([run([one[:1] for one in inputs]), run([one[1:] for one in inputs])])
    scale = max(1.0, float(expected.abs().max()))
    difference = float((found - expected).abs().max()) / scale
    checked = Check(len(expected), of, difference, equal(network.task, found, expected))
    if not difference <= MOST:  # not a number either
        raise UserError(f"the file does not say what the network says: {checked}; accepted is {MOST:g}")
    return checked


def equal(task: Task, found: Tensor, expected: Tensor) -> float | None:
    if isinstance(task, Classification):
        return float((found.argmax(dim=1) == expected.argmax(dim=1)).float().mean())
    if isinstance(task, Multilabel):
        return float(((found > task.threshold) == (expected > task.threshold)).all(dim=1).float().mean())
    return None
