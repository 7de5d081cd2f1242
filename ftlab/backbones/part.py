"""What a cut network is: the sides of the cut, and what a cache asks of it."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from torch import nn

Run = Callable[..., Any]


class Part(nn.Module):
    """One side of the cut: runs the network's own modules and owns nothing.

    It has no parameters, no children and an empty state_dict, so a module that holds it saves nothing twice. Its mode
    (train, eval) only picks the trace; the layers follow their own modes, which freezing decides.
    """

    def __init__(self, names: Sequence[str], in_training: Run, in_evaluation: Run, finish: Run | None = None) -> None:
        """`names` are the values at the border, in the order in which a prefix gives and a suffix takes them."""
        super().__init__()
        self.names = tuple(names)
        self._runs = {True: in_training, False: in_evaluation}
        self._finish = finish

    def forward(self, *values: Any) -> Any:
        result = self._runs[self.training](*values)
        return self._finish(result) if self._finish else result


class Cuttable(Protocol):
    """What a cache asks of a network; see Traced, which is one."""

    network: nn.Module
    ragged: bool  # whether values have a position of their sample in the second dimension, and not all as many

    def cut(self, trainable: set[str], training: Collection[nn.Module] | None = None) -> tuple[Part, Part]: ...

    def fast(self, names: Sequence[str]) -> Run: ...

    def parameters(self, names: Sequence[str]) -> frozenset[str]: ...

    def digest(self, names: Sequence[str]) -> str: ...
