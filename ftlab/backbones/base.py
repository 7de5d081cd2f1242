"""What a backbone is: a feature extractor that names its stages in order and can be cut at the freeze border.

Shapes: b batch, c channels, h height, w width, t tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ftlab.backbones.border import Traced
from ftlab.backbones.part import Cuttable
from ftlab.backbones.weights import Loaded
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing


def identity(vector: Tensor) -> Tensor:
    return vector


@dataclass
class Features:
    """What a backbone gives to a head: maps, tokens or one vector; never pooled by the backbone."""

    maps: Tensor | None = None  # (b, c, h, w)
    tokens: Tensor | None = None  # (b, t, c), the first `prefix_tokens` are class or register tokens
    prefix_tokens: int = 0
    begins: bool = False  # whether the first of `tokens`, which counts as all others do, also stands for the whole
    mask: Tensor | None = None  # (b, t - prefix_tokens) bool, False where a token only fills the batch; None: all count
    below: tuple[Tensor, ...] = ()  # as `tokens`, of layers below, the first ones first; where hand_layers was asked
    vector: Tensor | None = None  # (b, c)
    # (b, m, c), the members of an ensemble, whose mean is `vector`: a linear head that trains with them makes outputs
    # of each, (b * m, k), so that each learns by itself.
    members: Tensor | None = None
    # Maps (b, c, h, w) of the strides that Backbone.hand_out was asked for, finest first; then there is nothing else.
    levels: tuple[Tensor, ...] = ()
    pooled: Tensor | None = None  # (b, d), what a head that learns from one vector has pooled already: see VectorHead
    # What the pretrained network does after its own pooling (the norm of convnext, conv_head of mobilenetv3):
    # (b, c) -> (b, d). It owns parameters of the last stage; a head calls it on what it has pooled.
    neck: Callable[[Tensor], Tensor] = identity


@dataclass(frozen=True)
class Level:
    """What a head knows of one of the `levels` before there are any."""

    channels: int
    stride: int  # pixels of the input from one place of the map to the next; a power of two, which may be a little off


@dataclass(frozen=True)
class Stage:
    """A run of layers that freezes and thaws as one; addressed as part/name, for example backbone/blocks.3."""

    name: str
    parameters: tuple[str, ...]  # full names inside the part


def held_by(network: nn.Module, path: str, root: str = "") -> list[str]:
    """The full names of the parameters of a layer."""
    return [f"{root}{path}.{name}" for name, _ in network.get_submodule(path).named_parameters()]


def followed(names: Iterable[str], held: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names, those of each layer of `held` replaced by what it holds."""
    found: dict[str, None] = {}
    for name in names:
        pieces = name.split(".")
        layer = next((path for end in range(len(pieces)) if (path := ".".join(pieces[:end])) in held), None)
        found.update(dict.fromkeys([name] if layer is None else held[layer]))
    return tuple(found)


class Backbone(nn.Module, ABC):
    """A pretrained feature extractor; never pools."""

    takes: str = "image"  # the kind of raw inputs, as in Splits.kind
    name: str
    stages: tuple[Stage, ...]  # input end first; together with `last` they hold every parameter once
    last: tuple[Stage, ...] = ()  # layers inside of the network that a head has made new: addressed as head/NAME
    num_features: int  # channels of the pooled vector, after the neck
    default_pool: str  # the pooling that the network was trained with: average | token | last
    usual_pool: str | None = None  # what head.pool=auto becomes in a new run; None: it stays default_pool
    preprocessing: InputPreprocessing | None  # what its weights were trained on; None where the data fits it
    # Whether a module that holds several stages drops out values or layers itself, before the first of them or of all:
    # then it is frozen with the first stage.
    containers_rest: bool = False
    loaded: Loaded  # where the weights come from, and what of them was kept, for the report
    model: Any  # the network itself, an nn.Module, under the names that its own library gives
    passes_inputs: bool = (
        False  # whether the inputs are among the features, which then tell something at random weights
    )
    chance: int = 0  # how many features, the last ones, tell nothing as long as the weights are random
    below: int = 0  # how many features, the last ones, are of layers below; a convex fit may leave them out
    # What multiplies the run's rate once the head is fitted, where the weights are random: of all, and of the head.
    rate: float = 0.5
    head_rate: float = 1.0
    classifier_name: str | None = None  # what that library calls its last linear layer; None where it has none
    no_weight_decay: frozenset[str] = frozenset()  # parameters that the library trains without weight decay

    @classmethod
    def at_hand(cls) -> list[str]:
        """Names of pretrained networks that need no network connection: of packages, and downloaded before."""
        return []

    @property
    def method(self) -> str:
        """The method of `model` that computes the features."""
        return "forward"

    def forward(self, batch: Batch) -> Features:
        # Called as a module where that can be: a method alone would leave out its hooks.
        run = self.model if self.method == "forward" else getattr(self.model, self.method)
        return self.features(self.picked(run(*self.inputs(batch))))

    def picked(self, output: Any) -> Any:
        """What of the method's output `features` reads; a cache keeps no more than what this needs."""
        return output

    @abstractmethod
    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the method takes of a batch. Raises: UserError if the batch has no such thing."""

    @abstractmethod
    def features(self, output: Any) -> Features:
        """What the method gives, as features."""

    def hand_out(self, strides: Sequence[int]) -> tuple[Level, ...]:
        """From now on `forward` gives levels of those of the strides (rising) that the network has, at least one.

        What lies behind the last of them is taken out, since nothing would use it.
        Raises: UserError where the network has no maps of several stages.
        """
        raise UserError(f"the backbone '{self.name}' has no maps of its stages, and the head asks for some")

    def hand_layers(self) -> int:
        """From now on `forward` gives the hidden states of some layers below too; how many layers there are with them.

        Raises: UserError where the network has no layers that are alike.
        """
        raise UserError(f"head.pool=layers: the backbone '{self.name}' gives one layer alone; use head.pool=auto")

    def own_layers(self, kind: str, **settings: Any) -> nn.Module:
        """What its library puts on such a network for a task, as a head takes it.

        Raises: UserError where the library has nothing of the kind.
        """
        raise UserError(f"head: the backbone '{self.name}' brings no layers of its own for {kind.replace('_', ' ')}")

    @property
    def has_decoder(self) -> bool:
        """Whether it is the encoder of a network that also writes texts."""
        return False

    def decoder(self, described: Mapping[str, Any] | None = None) -> Any:
        """The rest of that network, a text_decoder.TextDecoder; described: what its `rebuilds` gave.

        Raises: UserError where there is none.
        """
        raise UserError(
            f"head.decoder=own: the backbone '{self.name}' has no decoder of its own; head.decoder=small makes one"
        )

    def follow(self, layers: Collection[str]) -> None:
        """Hold in each stage what these layers (paths inside of `model`) hold now in place of what they held: adapters
        were put around them, or taken out."""
        held = {f"model.{path}": held_by(self.model, path, "model.") for path in layers}
        self.stages = tuple(Stage(stage.name, followed(stage.parameters, held)) for stage in self.stages)

    def rebuilds(self) -> dict[str, Any]:
        """Keywords of the constructor by which a bundle builds the same network where its source is not at hand."""
        return {}

    def plain(self, num_classes: int) -> nn.Module:
        """The network as its own library builds it, with a classifier, without weights.

        Raises: UserError where the backbone comes from no library.
        """
        raise UserError(f"the backbone '{self.name}' comes from no library that builds it with a classifier")

    def described(self, num_classes: int, classes: Sequence[str], stored: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `plain` is, as its library reads it from a file beside the weights; None where it reads none.

        stored: what InputPreprocessing.stored gives.
        """
        return None

    def library_files(
        self, network: nn.Module, classes: Sequence[str], stored: Mapping[str, Any]
    ) -> dict[str, dict[str, Any] | None]:
        """Files of a bundle by which the library reads `network` (this one, with or without layers for a task) and
        what prepares its inputs. stored: what InputPreprocessing.stored gives."""
        return {}

    def traced(self) -> Cuttable:
        """What can be cut at any freeze border, for a cache. Raises: UserError where the network cannot be traced."""
        return Traced(self.model, self.method, self.features, self.picked)

    def cut(self, trainable: set[str]) -> tuple[nn.Module, nn.Module]:
        """(prefix, suffix) around the parameters named in `trainable`.

        prefix(*inputs) gives the values at the freeze border, suffix(*values) gives the Features; both share the
        backbone's own parameters. Raises: UserError where the network cannot be cut.
        """
        return self.traced().cut({name.removeprefix("model.") for name in trainable})
