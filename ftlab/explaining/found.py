"""What an explanation holds, for a page and for programs.

Shapes: h and w height and width of the network's input.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Part:
    """A piece of an input and how much it speaks for the answer; against it below 0."""

    name: str  # of a column, a token, a step
    value: str
    weight: float


@dataclass(frozen=True)
class Heat:
    """(h, w): how much each pixel of the network's input speaks for the answer."""

    method: str
    values: np.ndarray

    def told(self) -> dict[str, Any]:
        return {"method": self.method, "values": [[round(float(x), 6) for x in row] for row in self.values]}


@dataclass(frozen=True)
class Parts:
    method: str
    parts: tuple[Part, ...]
    running: bool = False  # whether the parts are a text that is read on, and no list

    def told(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "parts": [{"name": one.name, "value": one.value, "weight": one.weight} for one in self.parts],
        }


@dataclass(frozen=True)
class Explanation:
    """Of one input."""

    name: str
    record: dict[str, Any]  # of Task.describe
    target: str  # the class, label or number that is explained
    image: Any = None  # Pillow: the network's input, where that is an image
    found: tuple[Heat | Parts, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def told(self) -> dict[str, Any]:
        found = [one.told() for one in self.found]
        return {"input": self.name, **self.record, "target": self.target, "explained": found, "notes": list(self.notes)}
