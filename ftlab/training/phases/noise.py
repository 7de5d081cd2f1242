"""What two epochs may differ by on val and mean nothing."""

import math

from torch import Tensor


class Noise:
    """Holds each epoch against the best one before it, sample by sample."""

    def __init__(self) -> None:
        self.best: Tensor | None = None  # (n,) scores of val in the best epoch so far, see Task.scores

    def of(self, scores: Tensor | None) -> dict[str, float]:
        """{noise} of an epoch with these scores (n,), higher being better; nothing of the first, or without scores."""
        before = self.best
        if scores is None or before is None:
            self.best = scores
            return {}
        self.best = scores if scores.mean() > before.mean() else before
        return {"noise": paired_error(scores, before)}


def paired_error(scores: Tensor, others: Tensor) -> float:
    """The standard error of the mean difference of the scores (n,) of the same samples by two networks; 0 of one."""
    return float((scores - others).std()) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
