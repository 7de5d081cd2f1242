"""transformers' object detectors as a whole: RT-DETR, D-FINE, RF-DETR, Deformable DETR and others of their kind.

Each of a fixed number of queries gives one box; which query learns which object is decided by the cheapest pairing of
all, so nothing is chosen by overlap afterwards.

Shapes: b batch, h height, w width, q queries, k classes, d boxes that are found in an image.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_convert

from ftlab.backbones import hub
from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Features, Stage
from ftlab.backbones.building import as_size
from ftlab.backbones.detectors.base import Detector
from ftlab.backbones.detectors.one_stage import theirs
from ftlab.backbones.part import Cuttable
from ftlab.backbones.stages import LEAST_SHARE
from ftlab.backbones.text import library
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.targets.ragged import Parts, Ragged

OPTION = "transformers_detector"
LISTS = ("layers", "layer", "stages", "blocks")  # of which each element is a stage
SIZE = 640  # pixels, where nothing tells what a network was trained with


class Queries(NamedTuple):
    """BoxOutputs of queries."""

    logits: Tensor  # (b, q, k), or one more, of nothing
    boxes: Tensor  # (b, q, 4) middle, width and height, as shares of the image
    mean: Tensor | None  # () the network's own loss, a sum divided by the number of boxes; None without targets
    size: tuple[int, int]  # height and width of the images
    classes: int

    def losses(self, targets: Ragged) -> tuple[Tensor, Tensor]:
        """The unit is a box."""
        assert self.mean is not None, "of a batch with targets"
        weight = (~targets.rows["crowd"]).sum()
        return self.mean * weight.clamp(min=1), weight.to(self.mean)

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        """As the library's own processors: the surest pairs of a query and a class, whatever they overlap."""
        logits = self.logits.float()
        has_nothing = logits.shape[-1] > self.classes
        scores = logits.softmax(-1)[..., : self.classes] if has_nothing else logits.sigmoid()
        boxes = box_convert(self.boxes.float(), "cxcywh", "xyxy") * boxes_in(self.size, self.boxes)
        return [surest(*one, threshold, most) for one in zip(scores, boxes, strict=True)]


def boxes_in(size: tuple[int, int], like: Tensor) -> Tensor:
    """(4,) what shares of an image are multiplied by."""
    height, width = size
    return torch.tensor([width, height, width, height], dtype=torch.float32, device=like.device)


def surest(scores: Tensor, boxes: Tensor, threshold: float, most: int) -> Parts:
    """Of scores (q, k) and boxes (q, 4), boxes (d, 4), scores (d,) and labels (d,)."""
    best, place = scores.flatten().topk(min(most, scores.numel()))
    place, best = place[best > threshold], best[best > threshold]
    return {"boxes": boxes[place // scores.shape[1]], "scores": best, "labels": place % scores.shape[1]}


class TransformersDetector(Detector):
    """Its stages are the layers of its backbone, encoder and decoder, and what lies between."""

    preprocessing: Preprocessing

    def __init__(
        self,
        name: str | None = None,
        pretrained: bool = True,
        weights: str | None = None,
        allow_missing: bool = False,
        image_size: int | Sequence[int] | None = None,
        config: Mapping[str, Any] | None = None,
        meta: bool = False,
    ) -> None:
        """name: a folder as transformers saves it, or a name on its hub. config: of a bundle, or one's own, in place of
        what `name` says. `meta`: without weights; the network is there all the same.

        Raises: UserError for a name that is not there or is of no detector, and weights that do not fit.
        """
        super().__init__()
        self.name = name or str((config or {}).get("model_type"))
        if name is None and config is None:
            raise UserError("backbone.name=null: give a folder as transformers saves it, or a name on its hub")
        from_name = pretrained and not weights and not meta and config is None
        with hub.reach(self.name) if name and not Path(name).is_dir() and config is None else nullcontext():
            settings = settings_of(name, config)
            self.model = built(settings, name if from_name else None)
            self.preprocessing = preprocessing_of(name if config is None else None, as_size(image_size))
        self.new = of_classes(settings)
        self.loaded = self._load(pretrained, weights, allow_missing, meta)
        self.default_pool = "average"
        self.no_weight_decay = frozenset()
        self._list_stages()

    def _load(self, pretrained: bool, weights: str | None, allow_missing: bool, meta: bool) -> weights_of.Loaded:
        if meta:
            return weights_of.Loaded("none: only names and shapes are asked for" if pretrained or weights else "random")
        if weights:
            modules = tuple({name.rpartition(".")[0] for name in self.new})
            path = Path(weights).expanduser()
            return weights_of.fit(self.model, weights_of.read(path), path, allow_missing, modules)
        return weights_of.Loaded(self.name if pretrained else "random")

    def _list_stages(self) -> None:
        sizes = {name: parameter.numel() for name, parameter in self.model.named_parameters()}
        self.last = (Stage("classes", tuple(f"model.{name}" for name in sizes if name in self.new)),)
        groups = grouped({name: size for name, size in sizes.items() if name not in self.new})
        self.stages = tuple(Stage(stage, tuple(f"model.{name}" for name in own)) for stage, own in groups.items())

    def renew(self, num_classes: int) -> None:
        settings = self.model.config
        settings.num_labels = num_classes
        fresh = built(settings, None)
        kept = {name: tensor for name, tensor in self.model.state_dict().items() if name not in self.new}
        fresh.load_state_dict(kept, strict=False)
        self.model = fresh
        self._list_stages()

    def forward(self, batch: Batch) -> Features:
        return self.features(self.inputs(batch))

    def answer(self, levels: tuple[Tensor, ...], sizes: Tensor, size: tuple[int, int], targets: Ragged | None) -> Any:
        (images,) = levels
        labels = None if targets is None else [in_shares(one, size) for one in theirs(targets, 0)]
        found = self.model(pixel_values=images, labels=labels)
        return Queries(found.logits, found.pred_boxes, found.loss, size, self.model.config.num_labels)

    def traced(self) -> Cuttable:
        raise UserError("transformers' detectors run as a whole, and are not cut at the freeze border")

    def rebuilds(self) -> dict[str, Any]:
        own = self.model.config
        return {"config": own.to_diff_dict() | {"model_type": own.model_type, "num_labels": own.num_labels}}


def in_shares(one: Parts, size: tuple[int, int]) -> dict[str, Tensor]:
    """Boxes and labels of an image as the library takes them."""
    boxes = box_convert(one["boxes"] / boxes_in(size, one["boxes"]), "xyxy", "cxcywh")
    return {"class_labels": one["labels"], "boxes": boxes}


def settings_of(name: str | None, config: Mapping[str, Any] | None) -> Any:
    """transformers' own description of a network. Raises: UserError where there is none, or it is of no detector."""
    own = library(OPTION, "detect")
    try:
        if config is None:
            settings = own.AutoConfig.from_pretrained(str(Path(name or "").expanduser()))
        else:
            plain = dict(config)
            settings = own.AutoConfig.for_model(plain.pop("model_type", ""), **plain)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"backbone.name={name}: no network of transformers there: {said}") from error
    if hasattr(settings, "use_pretrained_backbone"):  # weights come of `name`, a file, a bundle or chance alone
        settings.use_pretrained_backbone = False
    if type(settings) not in own.MODEL_FOR_OBJECT_DETECTION_MAPPING:
        raise UserError(f"backbone.name={name}: {settings.model_type} is no object detector of transformers")
    return settings


def built(settings: Any, weights: str | None) -> Any:
    """The network; with the weights of a folder or a name, or random ones."""
    kind = library(OPTION, "detect").AutoModelForObjectDetection
    model = kind.from_pretrained(weights, config=settings) if weights else kind.from_config(settings)
    for path, module in model.named_modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.requires_grad:
                continue
            if "backbone" in path.split("."):  # a layer that the library freezes; here that is the strategy's business
                parameter.requires_grad_()
            else:  # a number that is never learnt
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())
    return model.float()


def of_classes(settings: Any) -> frozenset[str]:
    """Names of the tensors whose shape hangs on the number of classes. No random number is used up."""
    count, shapes = settings.num_labels, []
    with torch.random.fork_rng(devices=[]):
        for more in (0, 1):
            settings.num_labels = count + more
            shapes.append({name: tensor.shape for name, tensor in built(settings, None).state_dict().items()})
    settings.num_labels = count
    return frozenset(name for name, shape in shapes[0].items() if shapes[1][name] != shape)


def preprocessing_of(source: str | None, size: tuple[int, int] | None) -> Preprocessing:
    """How images were prepared, as a file beside the weights tells; else as most of these networks have it."""
    mean: Sequence[float] = (0.485, 0.456, 0.406)
    std: Sequence[float] = (0.229, 0.224, 0.225)
    usual = (SIZE, SIZE)
    if source is not None:
        try:
            own = library(OPTION, "detect").AutoImageProcessor.from_pretrained(source)
        except (OSError, ValueError):
            own = None  # a folder of the network alone
        if own is not None:
            plain = bool(own.do_normalize)
            mean, std = (own.image_mean, own.image_std) if plain else ((0.0,) * 3, (1.0,) * 3)
            usual = (own.size.get("height", SIZE), own.size.get("width", SIZE))
    return Preprocessing(size=size or usual, mean=tuple(mean), std=tuple(std), interpolation="bilinear")


def grouped(sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Stages with the names of their parameters, input end first: each element of a list of layers, and what lies
    between; what is small joins the stage before it. sizes: numbers of each parameter."""
    found: dict[str, list[str]] = {}
    for name in sizes:
        found.setdefault(stage_of(name), []).append(name)
    least, joined = LEAST_SHARE * sum(sizes.values()), dict[str, list[str]]()
    for stage, own in found.items():
        if joined and sum(sizes[name] for name in own) < least:
            joined[list(joined)[-1]].extend(own)
        else:
            joined[stage] = own
    return joined


def stage_of(name: str) -> str:
    """model.decoder.layers.0.fc1.weight: decoder.layers.0; model.enc_output.0.weight: enc_output."""
    parts = name.removeprefix("model.").split(".")
    for place, part in enumerate(parts[:-1]):
        if part in LISTS and parts[place + 1].isdigit():
            return ".".join(parts[: place + 2])
    return ".".join(parts[: 2 if parts[0] in ("backbone", "encoder", "decoder") else 1])
