"""torchvision's detectors by name: the network itself, its new last layers, and tensors of its files."""

import re
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.fcos import FCOSClassificationHead
from torchvision.models.detection.retinanet import RetinaNetClassificationHead
from torchvision.models.detection.ssd import SSDClassificationHead
from torchvision.models.detection.ssdlite import SSDLiteClassificationHead
from torchvision.ops import FrozenBatchNorm2d

from ftlab.backbones import hub
from ftlab.backbones.detectors.one_stage import CountingHead
from ftlab.errors import UserError, choices

PYRAMID = 256  # channels of torchvision's feature pyramids
# The networks whose trained form keeps the statistics of its norms, and what these add to a variance: nothing, where
# the weights come of a library without it.
FROZEN_NORMS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 1e-5,
    "fasterrcnn_mobilenet_v3_large_fpn": 1e-5,
    "fasterrcnn_resnet50_fpn": 0.0,
    "fcos_resnet50_fpn": 1e-5,
    "retinanet_resnet50_fpn": 0.0,
}
MORE = ("keypointrcnn", "maskrcnn")  # what they find beside boxes no task here learns


@dataclass(frozen=True)
class Family:
    """What the networks of one kind have in common."""

    stages: tuple[str, ...]  # modules behind the maps, each a stage, in order
    last: str  # the module that holds the layers that say the class
    last_name: str  # of their stage


TWO_STAGE = Family(("rpn", "roi_heads.box_head"), "roi_heads.box_predictor", "box_predictor")
HEADS = ("head.classification_head", "head.regression_head")
ONE_STAGE = Family(HEADS, f"{HEADS[0]}.cls_logits", "cls_logits")
SSD = Family(HEADS, f"{HEADS[0]}.module_list", "cls_logits")
FAMILIES = {"fasterrcnn": TWO_STAGE, "fcos": ONE_STAGE, "retinanet": ONE_STAGE, "ssd300": SSD, "ssdlite320": SSD}


def names() -> list[str]:
    """Those of torchvision that give boxes alone."""
    return [name for name in models.list_models(models.detection) if name.partition("_")[0] in FAMILIES]


def family_of(name: str) -> Family:
    """Raises: UserError for a name that torchvision lacks, and for a network that is not of boxes alone."""
    if name.startswith(MORE) and name in models.list_models(models.detection):
        raise UserError(
            f"backbone.name={name}: finds masks or points beside boxes, and no task here learns them together; "
            f"use {names()[0]} or another of {', '.join(names())}"
        )
    if name not in names():
        raise UserError(f"backbone.name={name}: torchvision has no such detector; {choices(name, names())}")
    return FAMILIES[name.partition("_")[0]]


def built(name: str, frozen_norms: bool, meta: bool) -> Any:
    """The network with random weights, for two classes until its last layers are renewed."""
    more = {"head": CountingHead(PYRAMID, 1, 2)} if name.startswith("fcos") else {}
    with torch.device("meta") if meta else nullcontext():
        network = models.get_model(name, weights=None, weights_backbone=None, num_classes=2, **more)
        if frozen_norms:
            freeze_norms(network.backbone, FROZEN_NORMS[name])
    return network.to("meta") if meta else network


def freeze_norms(module: nn.Module, eps: float) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps))
        else:
            freeze_norms(child, eps)


def renew(network: Any, name: str, num_classes: int) -> None:
    """Put layers for so many classes, as torchvision makes them, in the place of those that say the class."""
    device = next(network.parameters()).device
    with device:
        if name.startswith("fasterrcnn"):
            width = network.roi_heads.box_predictor.cls_score.in_features
            network.roi_heads.box_predictor = FastRCNNPredictor(width, num_classes + 1)
            return
        old = network.head.classification_head
        if name.startswith("ssd"):
            renew_levels(network, old, num_classes + 1)
            return
        kind: Any = FCOSClassificationHead if name.startswith("fcos") else RetinaNetClassificationHead
        old.cls_logits = kind(old.cls_logits.in_channels, old.num_anchors, num_classes).cls_logits
        old.num_classes = num_classes


def renew_levels(network: Any, old: Any, outputs: int) -> None:
    """Of SSD, which has a layer for each level; what lies before it in a block of SSDlite stays."""
    lite = not isinstance(old.module_list[0], nn.Conv2d)
    anchors = network.anchor_generator.num_anchors_per_location()
    widths = [(block[-1] if lite else block).in_channels for block in old.module_list]
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    fresh: Any = (
        SSDLiteClassificationHead(widths, anchors, outputs, norm)
        if lite
        else SSDClassificationHead(widths, anchors, outputs)
    )
    for place, block in enumerate(fresh.module_list):
        if lite:
            old.module_list[place][-1] = block[-1]
        else:
            old.module_list[place] = block
    old.num_columns = outputs


# --- weights


def from_hub(name: str) -> tuple[dict[str, Tensor], str]:
    """torchvision's own weights, and where they come from. Raises: UserError where they cannot be had."""
    weights: Any = models.get_model_weights(name).DEFAULT
    host = urlsplit(weights.url)
    kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(host.path).name
    if not kept.is_file() and not hub.can_connect(f"{host.scheme}://{host.netloc}"):
        raise UserError(
            f"The weights of '{name}' cannot be downloaded: there is no network, or {host.netloc} does not answer. "
            f"{hub.WAYS_OUT}"
        )
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True)), f"torchvision's hub: {weights.url}"
    except (OSError, RuntimeError) as error:  # of the network, or of a file that is not whole
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"The weights of '{name}' cannot be downloaded: {said}. {hub.WAYS_OUT}") from error


def counts_batches(tensors: Collection[str]) -> bool:
    """Whether weights are of a network whose norms learn: those that keep their statistics count nothing."""
    return any(name.endswith("num_batches_tracked") for name in tensors)


# Names in files of before torchvision 0.13, and those of now.
OLDER = (
    (r"(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2"),
    (r"(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
)
TOWER = re.compile(r"(_head\.conv)\.(\d+)\.(weight|bias)$")  # of RetinaNet: every second layer has none


def renamed(tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """Tensors of older files under the names of now."""

    def now(name: str) -> str:
        changed = TOWER.sub(lambda found: f"{found[1]}.{int(found[2]) // 2}.0.{found[3]}", name)
        for older, newer in OLDER:
            changed = re.sub(older, newer, changed)
        return name if name in wanted or changed not in wanted else changed

    return {now(name): tensor for name, tensor in tensors.items()}
