"""Who is told of a run while it trains."""

from collections.abc import Sequence
from typing import Any

from ftlab.strategies.base import Phase


class Watcher:
    """Told of each epoch once, on the first process of a run; by default it does nothing about it."""

    def epoch(self, history: Sequence[dict[str, Any]], phases: Sequence[Phase]) -> str | None:
        """After the epoch that `history` ends with (see report.json); a text, where the run is to end here: why."""
        return None
