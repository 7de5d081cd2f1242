"""The whole network from the first step."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.strategies.base import Phase, Strategy


@dataclass(frozen=True, kw_only=True)
class Full(Strategy):
    """One phase in which every stage trains; with random weights it is training from scratch."""

    def phases(self, stages: Sequence[str], epochs: int) -> list[Phase]:
        return [Phase("full", epochs, dict.fromkeys(stages, 1.0), batchnorm=self.batchnorm)]
