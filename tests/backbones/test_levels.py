"""Maps of several stages: the same as timm's own, nothing behind the last, cut and kept by the same names."""

import pytest
import torch

from ftlab.backbones.base import Level
from ftlab.backbones.image import TimmBackbone
from ftlab.backbones.modes import in_evaluation
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.dense.pyramid import Pyramid

# Name, size of images and strides that it has of 8, 16 and 32.
FAMILIES = {
    "tf_efficientnet_lite0": (64, (8, 16, 32)),
    "resnet10t": (64, (8, 16, 32)),
    "convnext_atto": (64, (8, 16, 32)),
    "test_vit": (160, (16,)),
    "mobilenetv3_small_050": (64, (8, 16, 32)),
    "regnetx_002": (64, (8, 16, 32)),
    "levit_128s": (224, (16, 32)),
}


def made(name: str, size: int) -> tuple[TimmBackbone, Batch]:
    torch.manual_seed(0)
    backbone = TimmBackbone(name, pretrained=False, image_size=size)
    images = torch.randn(2, 3, size, size)
    return backbone.eval(), Batch(None, torch.arange(2), {"images": images})


@pytest.mark.parametrize(("name", "size", "strides"), [(n, *of) for n, of in FAMILIES.items()], ids=FAMILIES)
def test_levels_are_the_maps_of_the_whole_network_and_every_parameter_serves_them(name, size, strides):
    backbone, batch = made(name, size)
    with torch.no_grad():
        whole = backbone.model.forward_intermediates(batch.inputs["images"])[1]
    levels = backbone.hand_out((8, 16, 32))
    features = backbone(batch)
    for level, maps in zip(levels, features.levels, strict=True):
        assert maps.shape[:2] == (2, level.channels)
        assert any(torch.equal(maps, other) for other in whole)
    assert tuple(level.stride for level in levels) == strides
    sum(maps.square().sum() for maps in features.levels).backward()
    idle = [p for n, p in backbone.named_parameters() if p.grad is None and not n.endswith("attention_biases")]
    assert idle == []  # timm reads those of levit from a copy where it does not train
    named = [name for stage in backbone.stages for name in stage.parameters]
    assert sorted(named) == sorted(name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("frozen", [0, 2, 100], ids=["none", "two stages", "all"])
def test_the_network_is_cut_at_what_the_levels_need_and_gives_the_same_bits(frozen):
    backbone, batch = made("resnet10t", 64)
    backbone.hand_out((16, 32))
    trainable = {name for stage in backbone.stages[frozen:] for name in stage.parameters}
    prefix, suffix = backbone.cut(trainable)
    with in_evaluation(backbone), torch.no_grad():
        kept = prefix(batch.inputs["images"])
        again, whole = suffix(*kept), backbone(batch)
    assert all(torch.equal(a, b) for a, b in zip(again.levels, whole.levels, strict=True))
    if frozen == 100:
        assert [maps.shape for maps in kept] == [maps.shape for maps in whole.levels]  # and nothing more


@pytest.mark.parametrize("size", [40, 65, (40, 70)])
def test_a_level_has_its_stride_whatever_the_size_of_the_images(size):
    backbone = TimmBackbone("tf_efficientnet_lite0", pretrained=False, image_size=size, meta=True)
    of_64 = TimmBackbone("tf_efficientnet_lite0", pretrained=False, image_size=64, meta=True)
    assert backbone.hand_out((8, 16, 32)) == of_64.hand_out((8, 16, 32))


def test_strides_that_do_not_rise_are_refused():
    backbone = TimmBackbone("resnet10t", pretrained=False, meta=True)
    with pytest.raises(UserError, match=r"head.strides=\[16, 8\]: each must be larger than the one before"):
        backbone.hand_out((16, 8))


def test_who_asks_for_maps_says_where_the_network_ends():
    backbone = TimmBackbone("resnet10t", pretrained=False, until="layer2")
    with pytest.raises(UserError, match=r"backbone.until=layer2: the head says where the network ends"):
        backbone.hand_out((8, 16))


@pytest.mark.parametrize("levels", [((24, 8), (40, 16), (80, 32)), ((64, 16),), ((24, 8), (40, 16))])
def test_a_pyramid_gives_every_stride_that_is_asked_for(levels):
    pyramid = Pyramid([Level(*one) for one in levels], (4, 8, 16, 32, 64), width=16)
    maps = pyramid([torch.randn(2, channels, 128 // stride, 128 // stride) for channels, stride in levels])
    assert [tuple(one.shape) for one in maps] == [(2, 16, 128 // s, 128 // s) for s in (4, 8, 16, 32, 64)]


@pytest.mark.parametrize(("level", "strides"), [(32, (64, 128)), (16, (4, 8)), (16, (8,)), (16, (16, 32))])
def test_a_pyramid_of_one_level_gives_the_strides_that_are_asked_for_alone_and_uses_all_of_itself(level, strides):
    pyramid = Pyramid([Level(24, level)], strides, width=16)
    maps = pyramid([torch.randn(2, 24, 256 // level, 256 // level)])
    assert [tuple(one.shape[2:]) for one in maps] == [(256 // s, 256 // s) for s in strides]
    sum(one.square().sum() for one in maps).backward()
    assert [name for name, parameter in pyramid.named_parameters() if parameter.grad is None] == []


def test_a_pyramid_has_no_gaps():
    with pytest.raises(UserError, match=r"head.strides=\[8, 16, 32\]: none may lack between the backbone's, \[8, 32\]"):
        Pyramid([Level(8, 8), Level(8, 32)], (8, 16, 32), 16)


def test_strides_of_a_pyramid_double():
    with pytest.raises(UserError, match=r"head.strides=\[8, 32\]: each must be twice the one before"):
        Pyramid([Level(8, 8)], (8, 32), 16)
