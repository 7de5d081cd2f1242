"""The last stages of a pretrained network made anew: what is the pretraining of each stage worth?

Source: Yosinski et al. 2014, "How transferable are features in deep neural networks?".
"""

from collections.abc import Sequence

from torch import nn

from ftlab.backbones.base import Stage
from ftlab.errors import UserError, choices


def behind(first: str, stages: Sequence[Stage]) -> Sequence[Stage]:
    """The stages from `first` on. Raises: UserError for a stage that is not there."""
    names = [stage.name for stage in stages]
    wanted = first.removeprefix("backbone/")
    if wanted not in names:
        raise UserError(f"backbone.reinit={first}: the network has no such stage; {choices(wanted, names)}")
    return stages[names.index(wanted) :]


def renew(model: nn.Module, random: nn.Module, stages: Sequence[Stage], root: str) -> tuple[str, ...]:
    """Give the stages of `model` the weights and buffers of `random`, the same network without pretraining; the names
    of what was made anew.

    stages: of parameters that are called root.NAME.
    """
    anew = {name.removeprefix(f"{root}.") for stage in stages for name in stage.parameters}
    holders = {name.rpartition(".")[0] for name in anew}  # with the statistics of their norms
    found = random.state_dict()
    buffers = {name for name, _ in model.named_buffers() if name.rpartition(".")[0] in holders}
    chosen = {name: found[name] for name in found if name in anew | buffers}
    model.load_state_dict({**model.state_dict(), **chosen})
    return tuple(sorted(chosen))
