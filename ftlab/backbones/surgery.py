"""A network that ends at an intermediate stage: the layers behind it are taken out, and what is left is tried.

Shapes: h height, w width.

Source: features of the middle of a network transfer better to what is unlike its training data; Yosinski et al. 2014,
"How transferable are features in deep neural networks?".
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ftlab.backbones.base import Backbone, Features, Stage
from ftlab.backbones.modes import in_evaluation
from ftlab.backbones.stages import is_under
from ftlab.batch import Batch
from ftlab.errors import UserError, choices
from ftlab.inputs.base import InputPreprocessing


class PassThrough(nn.Module):
    """Gives what it is given first; blocks may be called with more (position embeddings, masks)."""

    def forward(self, value: Tensor, *_: object, **__: object) -> Tensor:
        return value


def end_at(model: nn.Module, until: str, stages: Sequence[Stage], root: str) -> tuple[Stage, ...]:
    """Replace all layers of `model` behind the stage `until` by PassThrough; the stages that are left.

    Raises: UserError for a stage that is not there, or layers that cannot be taken out.
    """
    names = [stage.name for stage in stages]
    wanted = until.removeprefix("backbone/")
    if wanted not in names:
        raise UserError(f"backbone.until={until}: the network has no such stage; {choices(wanted, names)}")
    kept = tuple(stages[: names.index(wanted) + 1])
    keep = {name.removeprefix(f"{root}.") for stage in kept for name in stage.parameters}
    for path in list(_behind(model, keep)):
        parent, _, child = path.rpartition(".")
        setattr(model.get_submodule(parent), child, PassThrough())
    left = [name for name, _ in model.named_parameters() if name not in keep]
    if left:
        raise UserError(f"backbone.until={until}: {', '.join(left[:3])} belongs to no layer that could be taken out")
    return kept


def _behind(model: nn.Module, keep: set[str]) -> Iterator[str]:
    """The outermost modules that hold parameters, but none of `keep`, and what follows such a one in a Sequential."""
    taken: list[str] = []
    for path, module in model.named_modules():
        if not path or any(is_under(path, other) for other in taken):
            continue
        own = [f"{path}.{name}" for name, _ in module.named_parameters()]
        if (own and not keep.intersection(own)) or (not own and _follows(model, path, taken)):
            taken.append(path)
            yield path


def _follows(model: nn.Module, path: str, taken: Sequence[str]) -> bool:
    """Whether a module comes after one of `taken` in the same Sequential."""
    parent = path.rpartition(".")[0]
    in_order = isinstance(model.get_submodule(parent), nn.Sequential)
    return in_order and any(other.rpartition(".")[0] == parent for other in taken)


@torch.no_grad()
def probe(backbone: Backbone, preprocessing: InputPreprocessing) -> Features:
    """The features of one input in which there is nothing, in evaluation mode; modes are put back."""
    device = next(backbone.parameters()).device
    nothing = torch.zeros(1, dtype=torch.long, device=device)
    fields = preprocessing.stack([preprocessing.blank()])
    with in_evaluation(backbone):
        return backbone(Batch(None, nothing, {name: values.to(device) for name, values in fields.items()}))
