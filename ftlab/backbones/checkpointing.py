"""Gradient checkpointing: less memory for one more forward pass of what trains."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ftlab.errors import UserError


class FirstPass:
    """Says when the network runs for the first time in a step; BatchNorm counts a batch only then.

    Checkpointing runs a block a second time inside the backward pass, and a BatchNorm in train mode would move its
    running statistics twice a step. Whatever runs outside `with first_pass:` is such a second run: there momentum is 0
    and the count of batches is set back.
    """

    def __init__(self, model: nn.Module) -> None:
        self.active = False
        self.momentum: dict[nn.Module, float | None] = {}
        for module in model.modules():
            if isinstance(module, _BatchNorm) and module.track_running_stats:
                module.register_forward_pre_hook(self.before)
                # always_call: a second run is stopped by an exception as soon as it has what backward needs
                module.register_forward_hook(self.after, always_call=True)

    def __enter__(self) -> None:
        self.active = True

    def __exit__(self, *error: object) -> None:
        self.active = False

    def before(self, module: Any, inputs: Any) -> None:
        if module.training and not self.active:
            self.momentum[module], module.momentum = module.momentum, 0.0

    def after(self, module: Any, inputs: Any, output: Any) -> None:
        if module in self.momentum:
            module.momentum = self.momentum.pop(module)
            module.num_batches_tracked -= 1


def enable(model: Any, name: str) -> FirstPass:
    """Switches timm's checkpointing on (non-reentrant).

    A block whose input and parameters need no gradient keeps nothing for the backward pass, so it is never run
    again: frozen stages before the border are not checkpointed in effect.

    Raises: UserError where the model does not support it.
    """
    try:
        model.set_grad_checkpointing(True)
    except (AttributeError, AssertionError) as error:
        raise UserError(
            f"backbone.checkpointing=true: timm's '{name}' does not support gradient checkpointing. Set it to false."
        ) from error
    return FirstPass(model)


def enable_blocks(model: Any, name: str) -> None:
    """The same of a network of transformers. Raises: UserError for a family that cannot."""
    try:
        model.activation_checkpointing_enable({"use_reentrant": False})
    except ValueError as error:
        raise UserError(f"backbone.checkpointing=true: {name}: {error} Set it to false.") from error
    model.disable_input_require_grads()  # by which gradients would flow back through all that is frozen
