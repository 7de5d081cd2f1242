"""The precision of values that are kept: that of the weights.

In mixed precision a step rounds every layer's outputs to 8 or 11 binary digits, and folded layers round otherwise than
those they were folded from. A value computed once need not be rounded at all: then the outputs are nearer to the
network's own than those of a step (the default network in bfloat16: off by 0.2 % of the largest output, a step by 5 %),
and whether the cut network is the same one is judged without that noise.
"""

from contextlib import AbstractContextManager, nullcontext

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision, Precision


def unrounded(plugin: Precision) -> AbstractContextManager[None]:
    """A context for computing in the precision of the weights."""
    return nullcontext() if isinstance(plugin, MixedPrecision) else plugin.forward_context()


def of_weights(trainer: Trainer) -> str:
    """Its name; values of one name are the same under every precision of the training."""
    return "32-true" if isinstance(trainer.precision_plugin, MixedPrecision) else trainer.precision
