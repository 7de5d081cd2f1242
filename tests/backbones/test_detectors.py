"""torchvision's detectors as whole networks: what they find, their losses, their stages, their files.

Shapes: b batch, d boxes that are found.
"""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import models

from ftlab.backbones import hub
from ftlab.backbones.detectors import building
from ftlab.backbones.detectors.of_torchvision import TorchvisionDetector
from ftlab.backbones.image import TimmBackbone
from ftlab.batch import Batch, leaves
from ftlab.cache.borders import Borders
from ftlab.errors import UserError
from ftlab.frames import Frame
from ftlab.freezing import freeze
from ftlab.heads.dense.detector import Detector
from ftlab.model import Model
from ftlab.targets.boxes import BLANK
from ftlab.targets.ragged import Ragged

FASTER, RETINA, FCOS = "fasterrcnn_mobilenet_v3_large_320_fpn", "retinanet_resnet50_fpn", "fcos_resnet50_fpn"
LITE, SSD = "ssdlite320_mobilenet_v3_large", "ssd300_vgg16"
SIZES = {FASTER: (64, 96), RETINA: (64, 70), FCOS: (64, 64), LITE: (320, 320), SSD: (300, 300)}
CLASSES = 3


@cache
def made(name: str) -> Model:
    torch.manual_seed(0)
    backbone = TorchvisionDetector(name, pretrained=False, image_size=SIZES[name])
    model = Model(backbone, Detector(backbone, CLASSES))
    for stage in backbone.last:  # as they begin, all boxes score alike
        for path in stage.parameters:
            torch.nn.init.normal_(backbone.get_parameter(path), std=0.1)
    return model.eval()


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return deepcopy(made(request.param))


each = pytest.mark.parametrize(
    "model", [FASTER, RETINA, FCOS, LITE, pytest.param(SSD, marks=pytest.mark.slow)], indirect=True
)


def targets() -> Ragged:
    boxes = torch.tensor([[4.0, 6, 30, 40], [20, 10, 60, 50]])
    one = {"boxes": boxes, "labels": torch.tensor([0, 2]), "crowd": torch.tensor([False, False])}
    return Ragged.of([one, BLANK], BLANK)


def batch(model: Model, seed: int = 1) -> Batch:
    images = torch.randn(2, 3, *SIZES[model.backbone.name], generator=torch.Generator().manual_seed(seed))
    return Batch(targets(), torch.arange(2), {"images": images})


def library(model: Model) -> Any:
    """torchvision's own network of the same weights, which is given images that are scaled and normalised already."""
    name = model.backbone.name
    background = int(not name.startswith(("retinanet", "fcos")))
    own = models.get_model(name, weights=None, weights_backbone=None, num_classes=CLASSES + background).eval()
    own.load_state_dict(model.backbone.model.state_dict())
    own.transform.image_mean, own.transform.image_std = [0.0] * 3, [1.0] * 3
    own.transform.resize = lambda image, target: (image, target)
    return own


def in_its_words(model: Model) -> list[dict[str, Tensor]]:
    background = int(not model.backbone.name.startswith(("retinanet", "fcos")))
    return [{"boxes": one["boxes"], "labels": one["labels"] + background} for one in targets().samples()]


@each
def test_a_detector_finds_what_torchvisions_own_finds_box_by_box(model: Model) -> None:
    given, own = batch(model), library(model)
    holder = own.roi_heads if hasattr(own, "roi_heads") else own
    holder.score_thresh, holder.nms_thresh, holder.detections_per_img = 0.02, 0.45, 40
    freeze(model, [], "frozen")
    model.eval()
    with torch.no_grad():
        theirs = own(list(given.inputs["images"]))
        found = model(given).found(0.02, 0.45, 40)
    background = int(not model.backbone.name.startswith(("retinanet", "fcos")))
    assert sum(len(one["boxes"]) for one in theirs) > 20
    for one, other in zip(found, theirs, strict=True):
        assert torch.equal(one["boxes"], other["boxes"])
        assert torch.equal(one["scores"], other["scores"])
        assert torch.equal(one["labels"] + background, other["labels"])


@each
def test_the_loss_is_that_of_torchvision(model: Model) -> None:
    own = library(model)
    for part in (model.backbone.model, own):
        if hasattr(part, "rpn"):  # all are drawn, so that chance has no part in it
            part.rpn.fg_bg_sampler.batch_size_per_image = part.roi_heads.fg_bg_sampler.batch_size_per_image = 10**6
    freeze(model, model.addresses, "frozen")
    own.train()
    for module in own.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    model.head.eval()
    given = batch(model)
    torch.manual_seed(5)
    total, weight = model(given).losses(given.targets)
    torch.manual_seed(5)
    theirs = sum(own(list(given.inputs["images"]), in_its_words(model)).values())
    torch.testing.assert_close(total / weight, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [FASTER, FCOS], indirect=True)
def test_a_network_that_is_cut_behind_its_frozen_maps_goes_on_to_the_same_boxes(model: Model) -> None:
    given = batch(model)
    frozen = [address for address in model.addresses if address.startswith(("backbone/body", "backbone/fpn"))]
    for kept in (frozen, frozen[:3]):
        trained = [address for address in model.addresses if address not in kept]
        borders = Borders(model)
        border = borders.of(trained)
        assert border is not None
        assert border.stages == set(kept)
        values = tuple(part.clone() for part in borders.traced.prefix(border.names)(*model.backbone.inputs(given)))
        whole = model(given)
        model.rest = border.rest
        size = torch.tensor([SIZES[model.backbone.name]] * 2)
        frame = Frame(torch.eye(3)[:2].expand(2, 2, 3), size, size)
        rest = model(Batch(given.targets, given.index, border=values, frame=frame))
        model.rest = None
        assert all(map(torch.equal, leaves(rest.continuous)[0], leaves(whole.continuous)[0]))
        for one, other in zip(rest.found(0.02, 0.45, 40), whole.found(0.02, 0.45, 40), strict=True):
            assert torch.equal(one["boxes"], other["boxes"])


@pytest.mark.parametrize("model", [FASTER, RETINA, LITE], indirect=True)
def test_losses_of_images_add_up_to_the_loss_of_their_batch(model: Model) -> None:
    given = batch(model)
    alone = [given.select(torch.tensor([place])) for place in range(2)]
    with torch.no_grad():  # in evaluation what is drawn of an image is the same each time
        total, weight = model(given).losses(given.targets)
        parts = [model(one).losses(one.targets) for one in alone]
    torch.testing.assert_close(total, sum(part[0] for part in parts), rtol=1e-4, atol=1e-5)
    assert weight == sum(part[1] for part in parts) > 0


@pytest.mark.parametrize("model", [FASTER], indirect=True)
def test_what_is_drawn_is_by_chance_in_training_alone(model: Model) -> None:
    given = batch(model)
    model.backbone.model.roi_heads.fg_bg_sampler.batch_size_per_image = 8  # of all that is proposed

    def loss() -> float:
        with torch.no_grad():
            return float(model(given).losses(given.targets)[0])

    before = torch.get_rng_state()
    assert loss() == loss()
    assert torch.equal(before, torch.get_rng_state())
    freeze(model, ["head/box_predictor"], "frozen")
    first, second = loss(), loss()
    torch.set_rng_state(before)
    assert loss() == first != second


@pytest.mark.parametrize("model", [FASTER], indirect=True)
def test_stages_are_parts_of_the_network_and_the_new_layers_are_the_heads(model: Model) -> None:
    addresses = model.addresses
    assert addresses[0] == "backbone/body.0"
    assert addresses[-4:] == ("backbone/fpn", "backbone/rpn", "backbone/roi_heads.box_head", "head/box_predictor")
    assert sum(model.sizes().values()) == sum(parameter.numel() for parameter in model.parameters())
    assert model.tied == {}
    head = dict(zip(addresses, model.stages, strict=True))["head/box_predictor"]
    predictor = model.backbone.model.roi_heads.box_predictor
    assert predictor.cls_score.out_features == CLASSES + 1
    own = dict(model.named_parameters())
    assert {id(own[name]) for name in head.parameters} == {id(parameter) for parameter in predictor.parameters()}


def test_a_file_of_torchvisions_gives_all_but_the_layers_that_say_the_class(tmp_path: Path) -> None:
    torch.manual_seed(3)
    trained = building.built(FASTER, frozen_norms=True, meta=False)  # as torchvision trains it
    building.renew(trained, FASTER, 90)
    older = {name.replace("blocks.0.0.", "blocks.0.").replace("rpn.head.conv.0.0.", "rpn.head.conv."): tensor
             for name, tensor in trained.state_dict().items()}  # fmt: skip
    assert older.keys() != trained.state_dict().keys()
    torch.save(older, tmp_path / "coco.pth")
    backbone = TorchvisionDetector(FASTER, weights=str(tmp_path / "coco.pth"), image_size=64)
    assert backbone.rebuilds() == {"norms": "frozen"}
    assert backbone.loaded.kept == len(older) - 4
    assert sorted(backbone.loaded.head) == sorted(name for name in older if "box_predictor" in name)
    assert any("replaced: the head" in line for line in backbone.loaded.surgery)
    Detector(backbone, CLASSES)
    now = backbone.model.state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(now[name], tensor) or "box_predictor" in name, name


def test_older_names_are_those_that_torchvision_itself_reads() -> None:
    torch.manual_seed(0)
    network = building.built(RETINA, frozen_norms=False, meta=False)
    old = {}
    for name, tensor in network.state_dict().items():
        if "_head.conv." in name:
            head, _, rest = name.partition("conv.")
            place, _, kind = rest.partition(".0.")
            name = f"{head}conv.{2 * int(place)}.{kind}"
        old[name.replace("blocks.0.0.", "blocks.0.")] = tensor + 1
    building.built(RETINA, frozen_norms=False, meta=False).load_state_dict(dict(old))  # which would raise
    found = building.renamed(old, network.state_dict())
    assert found.keys() == network.state_dict().keys()


def test_norms_follow_the_weights_and_a_bundle_tells_them(tmp_path: Path) -> None:
    learns = building.built(FASTER, frozen_norms=False, meta=False)
    torch.save(learns.state_dict(), tmp_path / "learns.pt")
    backbone = TorchvisionDetector(FASTER, weights=str(tmp_path / "learns.pt"), image_size=64)
    assert backbone.rebuilds() == {"norms": "batch"}
    again = TorchvisionDetector(FASTER, pretrained=False, image_size=64, norms="frozen")
    assert not [name for name in again.model.state_dict() if name.endswith("num_batches_tracked")]
    with pytest.raises(UserError, match="trains ssdlite320_mobilenet_v3_large with norms that learn"):
        TorchvisionDetector(LITE, pretrained=False, norms="frozen")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "maskrcnn_resnet50_fpn"}, "finds masks or points beside boxes"),
        ({"name": "fasterrcnn_resnet50"}, "torchvision has no such detector"),
        ({"name": SSD, "image_size": 128}, "does not run with images of 128 x 128 pixels .* trained with 300"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        TorchvisionDetector(**settings, meta=True)


def test_weights_that_cannot_be_fetched_name_the_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(hub, "can_connect", lambda url: False)
    with pytest.raises(UserError, match=r"there is no network, or download\.pytorch\.org does not answer"):
        TorchvisionDetector(FASTER)


def test_a_whole_detector_and_its_head_go_together_only() -> None:
    backbone = TorchvisionDetector(LITE, pretrained=False, meta=True)
    with pytest.raises(UserError, match="use head=detector"):
        backbone.hand_out([8])
    with pytest.raises(UserError, match="use head=detector"):
        _ = backbone.num_features
    with pytest.raises(UserError, match="is no whole detector; use head=fcos"):
        Detector(TimmBackbone("test_efficientnet", pretrained=False, meta=True), 2)
