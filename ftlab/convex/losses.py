"""Losses of a linear layer's outputs: a weighted sum over samples, and its gradient by the outputs.

g problems on the same features are solved at once (the folds of a cross-validation), so that one pass serves all.
Shapes: g problems, k outputs, n samples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Softmax:
    """One class a sample: minus the log of its probability."""

    terms: Tensor  # (g, k, n): how much each log-probability counts

    def only(self, chosen: Tensor) -> "Softmax":
        """g losses, each of the samples that a row of `chosen` (g, n) marks by 1."""
        return Softmax(self.terms * chosen[:, None])

    @property
    def shape(self) -> tuple[int, int]:
        return self.terms.shape[0], self.terms.shape[1]

    def weight(self) -> float:
        """What a sum is divided by for a mean; the mean over the g problems."""
        return self.terms.sum().item() / len(self.terms)

    def at(self, outputs: Tensor, rows: slice) -> tuple[float, Tensor]:
        """(sum, gradient (g, k, rows)) at `outputs` (g, k, rows)."""
        terms = self.terms[..., rows].to(outputs.dtype)
        logs = outputs.log_softmax(1)
        return -(terms * logs).sum(dtype=torch.float64).item(), logs.exp() * terms.sum(1, keepdim=True) - terms


@dataclass(frozen=True)
class Sigmoid:
    """Yes or no for each output by itself; shapes as of Softmax."""

    yes: Tensor  # (g, k, n): how much the log of the probability counts
    no: Tensor  # (g, k, n): and the log of its counterpart's

    def only(self, chosen: Tensor) -> "Sigmoid":
        return Sigmoid(self.yes * chosen[:, None], self.no * chosen[:, None])

    @property
    def shape(self) -> tuple[int, int]:
        return self.yes.shape[0], self.yes.shape[1]

    def weight(self) -> float:
        groups, outputs = self.shape
        return (self.yes + self.no).sum().item() / (groups * outputs)

    def at(self, outputs: Tensor, rows: slice) -> tuple[float, Tensor]:
        yes, no = self.yes[..., rows].to(outputs.dtype), self.no[..., rows].to(outputs.dtype)
        losses = yes * functional.softplus(-outputs) + no * functional.softplus(outputs)
        return losses.sum(dtype=torch.float64).item(), (yes + no) * outputs.sigmoid() - yes


Loss = Softmax | Sigmoid
