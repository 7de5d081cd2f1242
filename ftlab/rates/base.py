"""Rates say how fast each stage learns, as a multiplier of optimizer.lr. No torch here: arithmetic over names."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Rates(ABC):
    """One rule for the rates of the stages; an option is a subclass in a file of its own."""

    @abstractmethod
    def of(self, stages: Sequence[str]) -> dict[str, float]:
        """The multiplier of each stage (addresses, input end first, head last).

        Raises: UserError for a pattern that matches nothing or a stage under no rule or two.
        """
