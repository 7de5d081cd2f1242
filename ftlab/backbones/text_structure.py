"""What a network of transformers is made of: its blocks, and what runs before and after them.

Shapes: b batch, t tokens, c channels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ftlab.backbones.base import Stage
from ftlab.errors import UserError


def longest_list(model: nn.Module, name: str) -> str:
    """Where the blocks are. Raises: UserError for a network without any."""
    lists = {path: len(part) for path, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    outermost = {p: n for p, n in lists.items() if not any(p.startswith(f"{other}.") for other in lists)}
    if not outermost:
        raise UserError(f"backbone.name={name}: has no list of blocks that could freeze one by one")
    return max(outermost, key=lambda path: outermost[path])


class Unpadded(TorchFunctionMode):
    """On meta a network that asks for values of its tokens or masks, which have none there, is answered as for one text
    without padding: all of a mask holds, and no token is that of padding."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (Tensor.__bool__, Tensor.__contains__) and args[0].is_meta:
            return function is Tensor.__bool__
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def behind(model: nn.Module, path: str, run: Any) -> tuple[frozenset[str], int | None, int]:
    """Names of the parameters of what runs after the last block, what a block gives as blocks.Skip says it, and how
    wide the hidden states (b, t, c) are that come out."""
    blocks = model.get_submodule(path)
    seen: list[str] = []
    gave: list[Any] = []
    outside = [(name, part) for name, part in model.named_modules() if name and not is_in(name, path)]
    watched = [*outside, ("", list(blocks.children())[-1])]
    hooks = [part.register_forward_hook(lambda *_, name=name: seen.append(name)) for name, part in watched]
    hooks.append(watched[-1][1].register_forward_hook(lambda module, given, found: gave.append(found)))
    device = next(model.parameters()).device
    two = torch.full((1, 2), 3, device=device)  # no id that stands for padding
    was = model.training
    try:
        width = run(model.eval(), two, None, two * 0).shape[-1]
    finally:
        model.train(was)
        for hook in hooks:
            hook.remove()
    late = set(seen[len(seen) - seen[::-1].index("") :]) - set(seen[: seen.index("")])
    above = {name for name in late if path.startswith(f"{name}.") or any(is_in(other, name) for other in (path,))}
    more = len(gave[0]) - 1 if isinstance(gave[0], tuple) else None
    return frozenset(n for name in late - above for n in names_below(model, name)), more, width


def fixed(model: nn.Module) -> None:
    """Makes buffers of parameters that the library never trains, such as tables of sines."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.requires_grad:
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())


def is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def names_below(model: nn.Module, name: str) -> list[str]:
    return [f"{name}.{own}" for own, _ in model.get_submodule(name).named_parameters()]


def stages_of(model: nn.Module, path: str, after: frozenset[str]) -> tuple[Stage, ...]:
    names = [name for name, _ in model.named_parameters()]
    first = [name for name in names if not name.startswith(f"{path}.") and name not in after]
    count = len(list(model.get_submodule(path).children()))
    found = [Stage("embeddings", tuple(f"model.{name}" for name in first))] if first else []
    for number in range(count):
        own = [name for name in names if name.startswith(f"{path}.{number}.")]
        own += [name for name in names if name in after] if number == count - 1 else []
        found.append(Stage(f"{path}.{number}", tuple(f"model.{name}" for name in own)))
    return tuple(found)
