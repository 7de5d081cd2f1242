"""Any image network of timm as a backbone.

Shapes: b batch, c channels of the features, h height, w width, t tokens, d channels after the neck.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_model_data_config
from timm.layers import PatchEmbed
from torch import Tensor, nn

from ftlab.backbones import hub, local_dir
from ftlab.backbones import levels as levels_of
from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Backbone, Features, Level
from ftlab.backbones.building import as_names, as_size, build
from ftlab.backbones.checkpointing import enable
from ftlab.backbones.part import Cuttable
from ftlab.backbones.pooling import pool
from ftlab.backbones.renewal import behind, renew
from ftlab.backbones.stages import stages_of
from ftlab.backbones.surgery import end_at, probe
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.images.preprocessing import Preprocessing

# timm's names of poolings without parameters, and ours
POOLINGS = {"token": "token", "avg": "average", "fast": "average", "max": "max", "avgmax": "average_max"}


class TimmBackbone(Backbone):
    """A timm network without its pooling and classifier; what it computes after its pooling is `neck`.

    The network is the child `model`, with timm's plain parameter names; parameters of stages are named model.*.
    """

    preprocessing: Preprocessing
    classifier_name: str | None  # timm's name of the removed linear layer; None where timm has none or two

    @classmethod
    def at_hand(cls) -> list[str]:
        packaged = [weights_of.PACKAGED] if find_spec(weights_of.PACKAGE) else []
        return [*packaged, *(name for name in hub.downloaded("timm") if name in timm.list_pretrained())]

    def __init__(
        self,
        name: str = weights_of.PACKAGED,
        pretrained: bool = True,
        weights: str | None = None,
        checkpointing: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        image_size: int | Sequence[int] | None = None,
        allow_missing: bool = False,
        until: str | None = None,
        stages: str = "blocks",
        reinit: str | None = None,
        meta: bool = False,
    ) -> None:
        """`image_size` is in pixels (one number, or height and width); None: what the weights were trained on.

        `stages`: blocks, as timm groups them, or layers, each module with parameters of its own. `until`: the last
        stage that is kept; None: all. `reinit`: the first stage whose weights are random all the same; None: none.

        `meta` builds the network without memory and loads no weights: for names, shapes and stages only.

        Raises: UserError for an unknown name, an image size that does not fit, weights that cannot be had.
        """
        super().__init__()
        self.name, self._granularity, self._until = name, stages, until
        self._places: list[int] = []  # of the maps that are handed out
        size = as_size(image_size)
        settings = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
        self.model = build(name, weights_of.from_hub(name, pretrained, weights), size, settings, meta)
        pooling = remove_pooling(self.model)
        self.stages = stages_of(self.model, "model", stages)
        if until and weights:  # the file may be of a network that ended there too; what it has more of is dropped
            self.stages = end_at(self.model, until, self.stages, "model")
        self.loaded = self._load(pretrained, weights, allow_missing, meta)
        if until and not weights:
            self.stages = end_at(self.model, until, self.stages, "model")
        if reinit:
            self.loaded = self._renewed(reinit, build(name, False, size, settings, meta), meta)
        self._describe(pooling, size)
        self._first_pass = enable(self.model, name) if checkpointing else None
        self.num_features = self._width(until) if until else self.model.head_hidden_size
        names = as_names(self.model.pretrained_cfg.get("classifier"))
        self.classifier_name = names[0] if len(names) == 1 and not until else None  # no network of timm ends at `until`

    def _load(self, pretrained: bool, weights: str | None, allow_missing: bool, meta: bool) -> weights_of.Loaded:
        if meta:
            if weights:
                weights_of.file_of(Path(weights).expanduser())  # it is not read, but a run would want it
            return weights_of.Loaded("none: built on meta" if pretrained or weights else "random")
        classifier = as_names(self.model.pretrained_cfg.get("classifier"))
        return weights_of.load(
            self.model, self.name, pretrained, weights, allow_missing=allow_missing, classifier=classifier
        )

    def _renewed(self, reinit: str, random: nn.Module, meta: bool) -> weights_of.Loaded:
        stages = behind(reinit, self.stages)
        if self.loaded.source == "random" or len(stages) == len(self.stages):
            source = "random"  # as of a network that was never pretrained
        else:
            source = f"{self.loaded.source}, random from {reinit} on"
        if not meta:
            anew = renew(self.model, random, stages, "model")
            source += f" ({len(anew)} tensors)" if source != "random" else ""
        return replace(self.loaded, source=source)

    def _describe(self, pooling: str, size: tuple[int, int] | None) -> None:
        """What timm says of the network, from which `pooling` was taken ("": none was), in our words."""
        self._pools_itself = pooling == ""
        self.default_pool = pooling or "average"
        self.preprocessing = preprocessing_of(self.model, size)
        self.no_weight_decay = without_weight_decay(self.model)
        self._channels_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        self._prefix_tokens = prefix_tokens(self.model, self.default_pool)
        self._fixed_size = is_fixed(self.model)

    def _width(self, until: str) -> int:
        """Features of the network that was cut short. Raises: UserError if it does not run any more."""
        try:
            features = probe(self, self.preprocessing)
            return pool(features, "auto", self.default_pool).shape[1]
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError, AssertionError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise UserError(
                f"backbone.until={until}: '{self.name}' does not run without what follows: {said}"
            ) from error

    def forward(self, batch: Batch) -> Features:
        with self._first_pass or nullcontext():
            return super().forward(batch)

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The field "images" (b, 3, height, width).

        Raises: UserError if the network takes one image size only and this is another.
        """
        if "images" not in batch.inputs:
            raise UserError(f"The backbone '{self.name}' takes images, and the batch holds none.")
        self._check_size(batch.inputs["images"])
        return (batch.inputs["images"],)

    def traced(self) -> Cuttable:
        if self._first_pass:
            raise UserError(
                "backbone.checkpointing=true: a network that is cut at the freeze border is not checkpointed; "
                "set it to false, or go without a cache (cache=off)"
            )
        return super().traced()

    def rebuilds(self) -> dict[str, Any]:
        return {"reinit": None}  # a bundle holds all weights, whatever they began as

    def plain(self, num_classes: int) -> nn.Module:
        size = {"img_size": self.preprocessing.size} if self._fixed_size else {}
        return timm.create_model(self.name, num_classes=num_classes, **size)  # type: ignore[arg-type]

    def described(self, num_classes: int, classes: Sequence[str], stored: Mapping[str, Any]) -> dict[str, Any] | None:
        own = self.model.pretrained_cfg
        return local_dir.config(self.name, own, self._fixed_size, num_classes, classes, stored)

    def hand_out(self, strides: Sequence[int]) -> tuple[Level, ...]:
        if self._until:
            raise UserError(f"backbone.until={self._until}: the head says where the network ends, by head.strides")
        blank = self.preprocessing.blank()["images"][None].to(next(self.model.parameters()).device)
        if not self._fixed_size:
            blank = levels_of.rounded(blank)
        self._places, levels = levels_of.end_at_strides(self.model, self.name, strides, blank)
        self.stages = stages_of(self.model, "model", self._granularity)
        self.classifier_name = None  # timm builds no such network with a classifier
        return levels

    @property
    def method(self) -> str:
        if self._places:
            return levels_of.METHOD
        return "forward" if self._pools_itself else "forward_features"

    def picked(self, output: Any) -> Any:
        return tuple(output[1][place] for place in self._places) if self._places else output

    def features(self, output: Any) -> Features:
        if self._places:
            return Features(levels=output)
        if self._pools_itself:
            return Features(vector=output.flatten(1))
        if output.ndim == 4:
            maps = output.permute(0, 3, 1, 2) if self._channels_last else output
            return Features(maps=maps, neck=self._neck_of_maps)
        return Features(tokens=output, prefix_tokens=self._prefix_tokens, neck=self._neck)

    def _neck_of_maps(self, pooled: Tensor) -> Tensor:
        """(b, c) -> (b, d)."""
        return self._neck(pooled[:, None, None, :] if self._channels_last else pooled[:, :, None, None])

    def _neck(self, pooled: Tensor) -> Tensor:
        with self._first_pass or nullcontext():
            return self.model.forward_head(pooled, pre_logits=True).flatten(1)

    def _check_size(self, images: Tensor) -> None:
        expected, given = self.preprocessing.size, tuple(images.shape[-2:])
        if self._fixed_size and given != expected:
            raise UserError(
                f"The backbone '{self.name}' was built for images of {expected[0]}x{expected[1]} pixels and got "
                f"{given[0]}x{given[1]}. Set backbone.image_size={list(given)} or data.image_size={expected[0]}."
            )


def is_fixed(model: Any) -> bool:
    embed = next((module for module in model.modules() if isinstance(module, PatchEmbed)), None)
    return bool(model.pretrained_cfg.get("fixed_input_size")) and (embed is None or embed.strict_img_size)


def preprocessing_of(model: nn.Module, size: tuple[int, int] | None) -> Preprocessing:
    config = resolve_model_data_config(model)
    return Preprocessing(
        size=size or tuple(config["input_size"][1:]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
    )


def remove_pooling(model: Any) -> str:
    """Takes timm's pooling out and gives our name for it; "" if it stays.

    It stays where it cannot be told apart from the pretrained network: attention pooling has weights, a distilled
    network averages two classifiers, and a few families have no switch. Such a backbone gives one vector.
    """
    pooling = POOLINGS.get(own_pooling(model), "")
    two_classifiers = len(as_names(model.pretrained_cfg.get("classifier"))) > 1
    if not pooling or two_classifiers or getattr(model, "attn_pool", None) is not None:
        return ""
    try:
        model.reset_classifier(0, global_pool="")
    except (AssertionError, TypeError, NotImplementedError):
        return ""
    return pooling


def own_pooling(model: Any) -> str:
    for owner in (model, getattr(model, "head", None)):
        pooling = getattr(owner, "global_pool", None)
        pooling = getattr(pooling, "pool_type", pooling)
        if isinstance(pooling, str) and pooling:
            return pooling
    return "avg"  # what timm does where the model does not say


def without_weight_decay(model: Any) -> frozenset[str]:
    """The parameters that timm exempts: position embeddings, class tokens; it gives names or globs."""
    patterns = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    return frozenset(n for n, _ in model.named_parameters() if any(fnmatchcase(n, pattern) for pattern in patterns))


def prefix_tokens(model: Any, pooling: str) -> int:
    return max(getattr(model, "num_prefix_tokens", 0), int(pooling == "token"))
