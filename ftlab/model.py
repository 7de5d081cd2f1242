"""A backbone under a head, and their stages in order.

Shapes: b batch, k outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ftlab.backbones.base import Backbone, Features, Stage
from ftlab.backbones.pooling import NO_ONE_SIZE, as_positions, pool
from ftlab.backbones.surgery import probe
from ftlab.batch import Batch
from ftlab.config import named
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.inputs.base import InputPreprocessing
from ftlab.targets.base import Target


def width_of(backbone: Backbone, head: Mapping[str, Any], preprocessing: InputPreprocessing) -> int:
    """What a head with these settings gets of each sample, once it has pooled or flattened.

    Raises: UserError for flatten of inputs that are not of one length, or of one vector, and as Backbone.hand_layers.
    """
    if head.get("pool") == "flatten" and not preprocessing.one_size:
        raise UserError(f"head.pool=flatten: {NO_ONE_SIZE}")
    if head.get("pool") != "flatten":
        return backbone.num_features * (backbone.hand_layers() if head.get("pool") == "layers" else 1)
    features = probe(backbone, preprocessing)
    if features.vector is not None:
        pool(features, "flatten")  # which refuses it
    return as_positions(features).shape[1] * backbone.num_features


def given(
    backbone: Backbone,
    head: Mapping[str, Any],
    preprocessing: InputPreprocessing,
    target: Target,
    trusted_modules: Sequence[str] = (),
) -> dict[str, Any]:
    """What a head with these settings is built with, beside them and the number of outputs.

    Raises: UserError as `width_of` and Backbone.hand_out do.
    """
    if strides := head.get("strides"):
        return {"levels": backbone.hand_out(strides)}
    if head.get("own"):
        return {"layers": backbone.own_layers, "gap": preprocessing.gap}
    made = named(head, trusted_modules)
    if getattr(made, "writes", False):
        return {"backbone": backbone, "preprocessing": preprocessing, "corpus": target.corpus}
    if getattr(made, "inside", False):
        return {"backbone": backbone}
    return {"num_features": width_of(backbone, head, preprocessing), "default_pool": backbone.default_pool}


class Model(nn.Module):
    """The network that trains; its stages are addressed as part/name: backbone/blocks.3, head/fc."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.rest: Callable[[Batch], Features] | None = None  # what goes on from the values at a freeze border
        self.fixed: frozenset[str] = frozenset()  # parameters that never train, whichever stage does

    def features(self, batch: Batch) -> Features:
        """What the head gets, of inputs or of the values at the freeze border that `rest` goes on from."""
        if batch.border is not None and self.rest is not None:
            return self.rest(batch)
        found: Features = self.backbone(batch)
        return found

    def forward(self, batch: Batch) -> Any:
        """Raw outputs."""
        return self.head(self.features(batch), batch)

    def answers(self, batch: Batch, how: Any = None) -> Any:
        """Raw outputs for whoever wants predictions. how: of Task.answering."""
        return self.head.answers(self.features(batch), batch, how)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, input end first; their parameters are named as in named_parameters().

        A parameter that several of them share is the first one's; a stage to which nothing is left is none.
        """
        return self._owned()[0]

    @property
    def tied(self) -> dict[str, str]:
        """Other places of a parameter, as part/name, with the address of the stage that it freezes and trains with."""
        return self._owned()[1]

    def _owned(self) -> tuple[tuple[Stage, ...], dict[str, str]]:
        names: dict[int, list[str]] = {}  # by identity: equal weights are not shared ones
        for name, parameter in self.named_parameters(remove_duplicate=False):
            names.setdefault(id(parameter), []).append(name)
        identity = {name: own for own, several in names.items() for name in several}
        stages, owner = [], {}  # of each parameter the address, and the name under which that stage holds it
        backbone, head = self.backbone, self.head
        parts = (
            ("backbone", "backbone", backbone.stages),
            ("head", "backbone", backbone.last),
            ("head", "head", head.stages),
        )
        for part, holder, listed in parts:
            for stage in listed:
                address, found = f"{part}/{stage.name}", []
                for name in (f"{holder}.{name}" for name in stage.parameters):
                    if (own := identity[name]) not in owner:
                        owner[own] = (address, name)
                        found.append(names[own][0])
                if found or not stage.parameters:  # a learner of scikit-learn has none
                    stages.append(Stage(address, tuple(found)))
        tied = {
            place_of(name): address for own, (address, first) in owner.items() for name in names[own] if name != first
        }
        return tuple(stages), tied

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    @property
    def free(self) -> dict[str, tuple[str, ...]]:
        """Of each stage the names of the parameters that train when it does."""
        return {s.name: tuple(name for name in s.parameters if name not in self.fixed) for s in self.stages}

    @property
    def idle(self) -> frozenset[str]:
        """The stages of which no parameter trains, even when they do."""
        return frozenset(stage.name for stage in self.stages if stage.parameters and not self.free[stage.name])

    def sizes(self) -> dict[str, int]:
        """Parameters of each stage."""
        return self._counted({stage.name: stage.parameters for stage in self.stages})

    def free_sizes(self) -> dict[str, int]:
        """Those of them that train when it does."""
        return self._counted(self.free)

    def _counted(self, names: Mapping[str, Sequence[str]]) -> dict[str, int]:
        count = {name: p.numel() for name, p in self.named_parameters()}
        return {stage: sum(count[name] for name in own) for stage, own in names.items()}

    def layers(self) -> list[tuple[str, Stage]]:
        """Every module with parameters of its own as part/layer with these, and the address of its stage.

        Returns: (address of the stage, Stage(part/layer, its own parameters)), in the order of the modules.
        """
        stages = self.stages
        stage_of = {name: stage.name for stage in stages for name in stage.parameters}
        name_of = {id(parameter): name for name, parameter in self.named_parameters()}
        found: list[tuple[str, Stage]] = []
        held: set[str] = set()
        for path, module in self.named_modules():
            names = [name_of[id(parameter)] for parameter in module.parameters(recurse=False)]
            own = tuple(name for name in names if name not in held)  # the others are a layer's before
            held.update(own)
            if own:
                found.append((stage_of[own[0]], Stage(place_of(path), own)))
        return found


def place_of(name: str) -> str:
    """backbone.model.blocks.0.conv -> backbone/blocks.0.conv"""
    part, _, rest = name.partition(".")
    return f"{part}/{rest.removeprefix('model.')}"
