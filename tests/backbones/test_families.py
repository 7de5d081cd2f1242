"""One small network of each family, random weights, nothing downloaded."""

import pytest
import timm
import torch
from torch import nn

from ftlab.backbones.image import TimmBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.linear import Linear

# name -> image size; 64 pixels where the network accepts it
FAMILIES = {
    "resnet18": 64,
    "tf_efficientnet_lite0": 64,
    "mobilenetv2_050": 64,
    "mobilenetv3_small_050": 64,
    "regnetx_002": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 64,
    "deit_tiny_patch16_224": 64,
    "eva02_tiny_patch14_224": 56,
    "swin_tiny_patch4_window7_224": 64,
    "mixer_s32_224": 64,
}
# timm keeps its pooling in these: two classifiers, attention pooling, no switch
POOLS_ITSELF = {"deit_tiny_distilled_patch16_224": 64, "vit_base_patch16_siglip_224": 32, "efficientvit_b0": 64}


def batch_of(size: int, count: int = 2) -> Batch:
    images = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
    return Batch(targets=torch.zeros(count, dtype=torch.int64), index=torch.arange(count), inputs={"images": images})


def plain_timm(name: str, size: int) -> nn.Module:
    fixed = {"img_size": size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    model = timm.create_model(name, num_classes=10, **fixed)
    torch.manual_seed(2)
    for parameter in model.parameters():  # norms and layer scales away from the 1 and 0 at which they start
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize(("name", "size"), FAMILIES.items())
def test_backbone_pooling_neck_and_a_linear_head_give_timms_own_logits(name: str, size: int) -> None:
    model = plain_timm(name, size)
    backbone = TimmBackbone(name, pretrained=False, image_size=size).eval()
    head = Linear(backbone.num_features, 10, backbone.default_pool).eval()
    state = model.state_dict()
    assert backbone.classifier_name is not None
    head.fc.load_state_dict({kind: state.pop(f"{backbone.classifier_name}.{kind}") for kind in ("weight", "bias")})
    backbone.model.load_state_dict(state)  # strict: the names are timm's own
    batch = batch_of(size)
    with torch.no_grad():
        expected = model(batch.inputs["images"])
        features = backbone(batch)
        logits = head(features, batch)
    assert features.vector is None
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "size"), POOLS_ITSELF.items())
def test_a_network_whose_pooling_is_part_of_its_weights_gives_one_vector(name: str, size: int) -> None:
    with torch.device("meta"):
        batch = batch_of_meta(size)
    backbone = TimmBackbone(name, pretrained=False, image_size=size, meta=True).eval()
    assert backbone(batch).vector.shape == (2, backbone.num_features)


def batch_of_meta(size: int) -> Batch:
    return Batch(targets=torch.zeros(2), index=torch.arange(2), inputs={"images": torch.zeros(2, 3, size, size)})


@pytest.mark.parametrize("name", [*FAMILIES, *POOLS_ITSELF, "densenet121", "rdnet_tiny"])
def test_stages_hold_every_parameter_once_and_the_last_one_is_more_than_a_norm(name: str) -> None:
    backbone = TimmBackbone(name, pretrained=False, meta=True)
    sizes = {name: parameter.numel() for name, parameter in backbone.named_parameters()}
    held = [name for stage in backbone.stages for name in stage.parameters]
    assert sorted(held) == sorted(sizes)
    assert len({stage.name for stage in backbone.stages}) == len(backbone.stages) >= 5
    assert sum(sizes[name] for name in backbone.stages[-1].parameters) >= 0.02 * sum(sizes.values())


@pytest.mark.parametrize(
    ("name", "first", "last", "inside_last"),
    [
        ("resnet18", "stem", "layer4", "model.layer4.1.bn2.bias"),
        ("tf_efficientnet_lite0", "stem", "blocks.6", "model.conv_head.weight"),
        ("mobilenetv3_small_050", "stem", "conv_head", "model.conv_head.bias"),
        ("convnext_atto", "stem", "stages.3", "model.head.norm.weight"),
        ("vit_tiny_patch16_224", "stem", "blocks.11", "model.norm.bias"),
        ("eva02_tiny_patch14_224", "stem", "blocks.11", "model.fc_norm.bias"),
        ("swin_tiny_patch4_window7_224", "patch_embed", "layers.3", "model.norm.weight"),
    ],
)
def test_stages_are_named_after_their_modules_from_input_to_output(
    name: str, first: str, last: str, inside_last: str
) -> None:
    stages = TimmBackbone(name, pretrained=False, meta=True).stages
    assert (stages[0].name, stages[-1].name) == (first, last)
    assert inside_last in stages[-1].parameters


def test_a_network_without_a_declaration_of_timm_has_one_stage_a_child() -> None:
    from ftlab.backbones.stages import timm_stages

    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert [(s.name, s.parameters) for s in timm_stages(module, "model")] == [
        ("0", ("model.0.weight", "model.0.bias")),
        ("2", ("model.2.weight", "model.2.bias")),
    ]


def test_preprocessing_is_what_timm_says_of_the_weights_and_the_size_can_be_set() -> None:
    backbone = TimmBackbone("tf_efficientnet_lite0", pretrained=False, image_size=[48, 64], meta=True)
    config = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    assert backbone.preprocessing.size == (48, 64)
    assert backbone.preprocessing.mean == config.mean
    assert backbone.preprocessing.crop_pct == config.crop_pct
    assert TimmBackbone("vit_tiny_patch16_224", pretrained=False, meta=True).preprocessing.size == (224, 224)


def test_a_mistyped_network_is_answered_with_near_names() -> None:
    with pytest.raises(UserError, match=r"resnt18.*did you mean.*resnet18"):
        TimmBackbone("resnt18", pretrained=False)


def test_a_mistyped_tag_is_answered_with_the_tags_that_exist() -> None:
    with pytest.raises(UserError, match="augreg_in21k"):
        TimmBackbone("vit_tiny_patch16_224.nope", pretrained=False)


def test_an_image_size_that_cuts_a_patch_is_refused_with_one_that_fits() -> None:
    with pytest.raises(UserError, match=r"patches of 16x16.*example 48"):
        TimmBackbone("vit_tiny_patch16_224", pretrained=False, image_size=50, meta=True)


def test_images_of_another_size_than_a_fixed_network_takes_are_refused() -> None:
    backbone = TimmBackbone("vit_tiny_patch16_224", pretrained=False, image_size=32)
    with pytest.raises(UserError, match="32x32 pixels and got 64x64"):
        backbone(batch_of(64))


def test_a_setting_that_the_network_does_not_know_is_named() -> None:
    with pytest.raises(UserError, match=r"drop_path_rate=0.1"):
        TimmBackbone("vgg11", pretrained=False, drop_path_rate=0.1, meta=True)
