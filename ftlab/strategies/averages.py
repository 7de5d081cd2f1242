"""Which mean of the weights over its steps a phase of gradient descent is judged by; arithmetic, without torch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

WARMUP = (1, 10)  # an exponential mean of few steps takes (1 + n) / (10 + n) of itself, else it were its first weights


@dataclass(frozen=True)
class Average(ABC):
    """A mean that takes in the weights after each optimizer step."""

    name = ""
    each_epoch = False  # whether every epoch begins a new mean; else it goes on through the phase

    @abstractmethod
    def share(self, steps: int, progress: float) -> float:
        """How much of the mean the weights of now become; 1: all of it, and what was before is forgotten.

        steps: how many it holds; progress: of the phase's epochs, from 0 to 1, this step included.
        """


@dataclass(frozen=True)
class OfEpoch(Average):
    """All steps of an epoch alike: `strategy.average`."""

    name = "mean"
    each_epoch = True

    def share(self, steps: int, progress: float) -> float:
        return 1 / (steps + 1)


@dataclass(frozen=True)
class Exponential(Average):
    """Later steps count more. Source: Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by
    Averaging"; as used by Tarvainen and Valpola 2017, "Mean teachers are better role models"."""

    decay: float
    name = "ema"

    def share(self, steps: int, progress: float) -> float:
        return 1 - min(self.decay, (WARMUP[0] + steps) / (WARMUP[1] + steps)) if steps else 1.0


@dataclass(frozen=True)
class Stochastic(Average):
    """All steps alike since a share of the phase's epochs. Source: Izmailov et al. 2018, "Averaging Weights Leads to
    Wider Optima and Better Generalization", who take one step in each epoch, at a rate that stays high."""

    start: float
    name = "swa"

    def share(self, steps: int, progress: float) -> float:
        return 1 / (steps + 1) if progress > self.start else 1.0


def none() -> None:
    """As the strategy says by `average`."""


def ema(decay: float) -> Exponential:
    return Exponential(decay)


def swa(start: float) -> Stochastic:
    return Stochastic(start)
