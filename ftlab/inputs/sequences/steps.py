"""Sequences as raw inputs: steps in order, each with a token (a word, a number of one), numbers, or both.

Shapes: t steps, c channels (numbers of a step).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Steps:
    """One sequence as it was read; a number that is missing is nan."""

    tokens: tuple[str, ...] | None = None
    series: np.ndarray | None = None  # (t, c) float64
    channels: tuple[str, ...] = ()  # names of the columns of `series`; () where they have none

    def __len__(self) -> int:
        return len(self.tokens) if self.tokens is not None else len(self.series) if self.series is not None else 0

    def part(self, start: int, stop: int) -> "Steps":
        tokens = None if self.tokens is None else self.tokens[start:stop]
        return replace(self, tokens=tokens, series=None if self.series is None else self.series[start:stop])


@dataclass(frozen=True)
class Layout:
    """Where the steps of a sequence are in a CSV file of one row a step; `window` and `stride` are steps."""

    series: str | None  # column that says which sequence a row is of; None: the file is one
    time: str | None  # column that puts its steps in order; None: as in the file
    window: int | None  # length of the parts that a long sequence is cut into; None: it stays whole
    stride: int = 1  # from the start of a part to that of the next
    gap: float | None = None  # the step in time from which on no part is cut across; None: parts may lie across any
    dates: bool = False  # whether that step is one of dates, in nanoseconds


def token_text(token: Any) -> str:
    """How a token is called, be it a word or a whole number, wherever it comes from."""
    return str(token.item() if isinstance(token, np.generic | torch.Tensor) else token).strip()


def in_order(token: str) -> tuple[float, str]:
    """Whole numbers by their value, all else by its name."""
    return (int(token), token) if token.isdecimal() else (math.inf, token)


# --- back from a bundle
