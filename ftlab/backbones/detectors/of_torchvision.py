"""torchvision's detectors as a whole: Faster R-CNN, RetinaNet, FCOS, SSD and SSDlite.

torchvision scales images inside of the network; here that is the data's (data.image_size, data.resize), and what its
transform would do is left out.

Shapes: b batch, c channels, h height, w width.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Stage
from ftlab.backbones.border import Traced
from ftlab.backbones.building import as_size
from ftlab.backbones.detectors import building, one_stage, two_stage
from ftlab.backbones.detectors.base import Detector
from ftlab.backbones.modes import in_evaluation
from ftlab.backbones.part import Part
from ftlab.errors import UserError
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.ragged import Ragged

Norms = Literal["auto", "frozen", "batch"]


class TorchvisionDetector(Detector):
    """Its stages are those of the network before the maps, the pyramid, and what finds boxes upon them."""

    preprocessing: Preprocessing

    def __init__(
        self,
        name: str = "fasterrcnn_mobilenet_v3_large_320_fpn",
        pretrained: bool = True,
        weights: str | None = None,
        allow_missing: bool = False,
        norms: Norms = "auto",
        image_size: int | Sequence[int] | None = None,
        meta: bool = False,
    ) -> None:
        """norms: frozen keeps the statistics of the body's norms, as torchvision trains those networks; auto: as the
        weights were trained, and batch without any. `meta` builds the network without memory and weights.

        Raises: UserError for an unknown name, an image size that does not fit, weights that cannot be had.
        """
        super().__init__()
        self.name, self.family = name, building.family_of(name)
        tensors, source = ({}, "") if meta else self._tensors(pretrained, weights)
        self.norms = self._norms(norms, bool(pretrained or weights), tensors)
        self.model = building.built(name, self.norms == "frozen", meta)
        self.loaded = self._load(tensors, source, pretrained, weights, allow_missing, meta)
        transform = self.model.transform
        self.divisor = transform.size_divisible
        self.preprocessing = preprocessing_of(transform, as_size(image_size))
        self.level_names = self._level_names()
        self.default_pool = "average"
        self.no_weight_decay = frozenset()
        self._list_stages()

    def _tensors(self, pretrained: bool, weights: str | None) -> tuple[Mapping[str, Tensor], str]:
        if weights:
            return weights_of.read(Path(weights).expanduser()), str(weights)
        return building.from_hub(self.name) if pretrained else ({}, "")

    def _norms(self, asked: Norms, trained: bool, tensors: Mapping[str, Tensor]) -> Norms:
        can = self.name in building.FROZEN_NORMS
        if asked == "frozen" and not can:
            raise UserError(
                f"backbone.norms=frozen: torchvision trains {self.name} with norms that learn; leave it out"
            )
        if asked != "auto":
            return asked
        return "frozen" if can and trained and not building.counts_batches(tensors) else "batch"

    def _load(
        self,
        tensors: Mapping[str, Tensor],
        source: str,
        pretrained: bool,
        weights: str | None,
        allow_missing: bool,
        meta: bool,
    ) -> weights_of.Loaded:
        if meta:
            if weights:
                weights_of.file_of(Path(weights).expanduser())  # it is not read, but a run would want it
            return weights_of.Loaded("none: built on meta" if pretrained or weights else "random")
        if not tensors:
            return weights_of.Loaded("random")
        own = building.renamed(tensors, self.model.state_dict())
        found = weights_of.fit(self.model, own, Path(source), allow_missing, tuple(self._last_modules()))
        return replace(found, source=source)

    def _last_modules(self) -> list[str]:
        """Names of the modules whose parameters say the class."""
        last, within = self.family.last, self.model.get_submodule(self.family.last)
        if not isinstance(within, nn.ModuleList):
            return [last]
        lite = not isinstance(within[0], nn.Conv2d)
        sizes = [len(list(block.children())) for block in within]
        return [f"{last}.{place}" + (f".{size - 1}" if lite else "") for place, size in enumerate(sizes)]

    @torch.no_grad()
    def _level_names(self) -> tuple[str, ...]:
        """torchvision's names of the maps. Raises: UserError for images that are too small for the network."""
        size = self.preprocessing.size
        body = self.model.backbone
        bare = {name: part.to("meta") for name, part in (*body.named_parameters(), *body.named_buffers())}
        try:
            with in_evaluation(body):
                found = functional_call(body, bare, (torch.empty(1, 3, *self.filled(size), device="meta"),))
        except (RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0][:160]
            raise UserError(
                f"data.image_size={list(size)}: '{self.name}' does not run with images of {size[0]} x {size[1]} "
                f"pixels ({said}); it was trained with {self.model.transform.min_size[-1]}"
            ) from error
        return tuple(found)

    def _list_stages(self) -> None:
        last = tuple(f"{name}." for name in self._last_modules())
        names = [name for name, _ in self.model.named_parameters()]
        new = [name for name in names if name.startswith(last)]
        self.last = (Stage(self.family.last_name, tuple(f"model.{name}" for name in new)),)
        groups = grouped(self.model, self.family.stages, [name for name in names if not name.startswith(last)])
        self.stages = tuple(Stage(stage, tuple(f"model.{name}" for name in own)) for stage, own in groups.items())

    def renew(self, num_classes: int) -> None:
        building.renew(self.model, self.name, num_classes)
        self._list_stages()

    @property
    def method(self) -> str:
        return "backbone"

    def picked(self, output: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(output[name] for name in self.level_names)

    def answer(self, levels: tuple[Tensor, ...], sizes: Tensor, size: tuple[int, int], targets: Ragged | None) -> Any:
        named, filled = dict(zip(self.level_names, levels, strict=True)), self.filled(size)
        if self.name.startswith("fasterrcnn"):
            return two_stage.answer(self.model, named, sizes, filled, targets)
        return one_stage.answer(self.model, levels, sizes, filled)

    def traced(self) -> "OfPart":
        return OfPart("backbone", self.model, self.features, self.picked)

    def rebuilds(self) -> dict[str, Any]:
        return {"norms": self.norms}


class OfPart(Traced):
    """Cuts a part of a network, with the names that parameters have in the whole."""

    def __init__(self, path: str, network: nn.Module, finish: Any, pick: Any) -> None:
        super().__init__(network.get_submodule(path), finish=finish, pick=pick)
        self.prefix_name = f"{path}."

    def cut(self, trainable: set[str], training: Collection[nn.Module] | None = None) -> tuple[Part, Part]:
        start = self.prefix_name
        return super().cut({name.removeprefix(start) for name in trainable if name.startswith(start)}, training)

    def parameters(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(f"{self.prefix_name}{name}" for name in super().parameters(names))


def preprocessing_of(transform: Any, size: tuple[int, int] | None) -> Preprocessing:
    """What torchvision's transform does to images, of one size for all."""
    usual = transform.fixed_size or (transform.min_size[-1],) * 2
    return Preprocessing(
        size=size or (int(usual[0]), int(usual[1])),
        mean=tuple(transform.image_mean),
        std=tuple(transform.image_std),
        interpolation="bilinear",
    )


def grouped(network: Any, behind: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Stages with the names of their parameters, input end first: each child of the body, the pyramid, and `behind`.

    A norm is of the stage of what lies before it.
    """
    found: dict[str, list[str]] = {}
    for path, module in pieces(network.backbone, ""):
        own = [name for name in names if name == f"backbone.{path}" or name.startswith(f"backbone.{path}.")]
        if own:
            stage = list(found)[-1] if found and isinstance(module, _BatchNorm) else path
            found.setdefault(stage, []).extend(own)
    for path in behind:
        if own := [name for name in names if name.startswith(f"{path}.")]:
            found[path] = own
    return found


INNER = ("body", "features", "extra")  # what holds pieces, and is none


def pieces(module: nn.Module, path: str) -> list[tuple[str, nn.Module | nn.Parameter]]:
    """What a body is made of, in order, under names within it; `path` ends with a dot, or is empty."""
    found: list[tuple[str, nn.Module | nn.Parameter]] = []
    for name, child in module.named_children():
        here = f"{path}{name}"
        holds = name in INNER or (path == "features." and type(child) is nn.Sequential)
        found += pieces(child, f"{here}.") if holds else [(here, child)]
    return found + [(f"{path}{name}", parameter) for name, parameter in module.named_parameters(recurse=False)]
