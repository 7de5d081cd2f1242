"""Networks that end at an intermediate stage, and stages that are single layers."""

import pytest
import torch
from torch import Tensor, nn

from ftlab.backbones.image import TimmBackbone
from ftlab.backbones.pooling import pool
from ftlab.backbones.surgery import PassThrough
from ftlab.backbones.weights import read
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.linear import Linear
from ftlab.model import Model, width_of

# network, stage to end at, its last module in the whole network, image size in pixels
CASES = [
    ("tf_efficientnet_lite0", "blocks.4", "blocks.4", 64),
    ("resnet18", "layer2", "layer2", 64),
    ("vit_tiny_patch16_224", "blocks.5", "blocks.5", 224),
    ("convnext_atto", "stages.1", "stages.1", 64),
    ("densenet121", "features.denseblock2", "features.transition2", 64),
    ("eva02_tiny_patch14_224", "blocks.3", "blocks.3", 224),  # its blocks are called with rotary embeddings
    ("vgg11", "features.6", "features.7", 64),  # the activation behind a convolution has no parameters
]


def batch(size: int, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(0)
    nothing = torch.zeros(count, dtype=torch.long)
    return Batch(nothing, nothing, {"images": torch.randn(count, 3, size, size, generator=generator)})


def built(name: str, size: int, **settings: object) -> TimmBackbone:
    torch.manual_seed(0)
    return TimmBackbone(name, pretrained=False, image_size=size, **settings).eval()


@torch.no_grad()
@pytest.mark.parametrize(("name", "stage", "module", "size"), CASES[:-1])
def test_features_are_those_of_the_stage_in_the_whole_network(name: str, stage: str, module: str, size: int) -> None:
    whole, short = built(name, size), built(name, size, until=stage)
    short.model.load_state_dict(whole.model.state_dict(), strict=False)
    heard: list[Tensor] = []
    whole.model.get_submodule(module).register_forward_hook(lambda _, __, output: heard.append(output))
    whole(batch(size))
    features = short(batch(size))
    expected = heard[0]
    found = features.tokens if features.tokens is not None else features.maps
    assert found is not None
    assert torch.equal(found, expected)
    assert short.num_features == pool(features, "auto", short.default_pool).shape[1]


@pytest.mark.parametrize(("name", "stage", "module", "size"), CASES)
def test_nothing_of_what_follows_is_left_and_what_is_left_trains(name: str, stage: str, module: str, size: int) -> None:
    whole, short = built(name, size), built(name, size, until=stage)
    names = [s.name for s in whole.stages]
    assert [s.name for s in short.stages] == names[: names.index(stage) + 1]
    owned = {p for s in short.stages for p in s.parameters}
    assert owned == {n for n, _ in short.named_parameters()} < {n for n, _ in whole.named_parameters()}
    model = Model(short, Linear(short.num_features, 2, short.default_pool))
    model(batch(size)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_last_stage_leaves_the_network_as_it_is() -> None:
    whole, short = built("resnet18", 64), built("resnet18", 64, until="layer4")
    assert short.num_features == whole.num_features
    assert not any(isinstance(module, PassThrough) for module in short.modules())


def test_a_stage_that_is_not_there_is_an_error_with_the_near_one() -> None:
    with pytest.raises(UserError, match=r"backbone.until=layer9: the network has no such stage; did you mean 'layer"):
        built("resnet18", 64, until="layer9")


def test_pretrained_weights_are_kept_and_those_of_what_follows_are_told(tmp_path) -> None:
    whole = TimmBackbone("tf_efficientnet_lite0", image_size=64)
    packaged = TimmBackbone("tf_efficientnet_lite0", image_size=64, until="blocks.2")
    torch.save(whole.model.state_dict(), tmp_path / "whole.pth")
    of_file = TimmBackbone(
        "tf_efficientnet_lite0", image_size=64, until="blocks.2", weights=str(tmp_path / "whole.pth")
    )
    for short in (packaged, of_file):
        found = short.model.state_dict()
        assert all(
            torch.equal(found[name], tensor) for name, tensor in whole.model.state_dict().items() if name in found
        )
    kept = set(packaged.model.state_dict())
    assert len(of_file.loaded.dropped) == len(whole.model.state_dict()) - len(kept)
    assert of_file.loaded.surgery[0].startswith(f"kept: {len(kept)} tensors of ")
    assert of_file.loaded.surgery[-1].startswith(f"dropped: {len(of_file.loaded.dropped)} tensors (blocks.3.0.conv_pw")
    torch.save(of_file.model.state_dict(), tmp_path / "short.pth")
    again = TimmBackbone("tf_efficientnet_lite0", image_size=64, until="blocks.2", weights=str(tmp_path / "short.pth"))
    assert again.loaded.dropped == ()
    assert read(tmp_path / "short.pth").keys() == kept


def test_a_flattened_head_gets_every_position() -> None:
    short = built("resnet18", 64, until="layer2")
    width = width_of(short, {"pool": "flatten"}, short.preprocessing)
    features = short(batch(64))
    assert features.maps is not None
    assert width == features.maps[0].numel() == 128 * 8 * 8
    flat = pool(features, "flatten")
    assert torch.equal(flat[1].unflatten(0, (64, 128)).T.reshape(128, 8, 8), features.maps[1])
    assert Linear(width, 3, "average", pool="flatten")(features, batch(64)).shape == (2, 3)


def test_single_layers_as_stages_hold_every_parameter_once_in_order() -> None:
    backbone = built("vit_tiny_patch16_224", 224, stages="layers")
    names = [name for stage in backbone.stages for name in stage.parameters]
    assert sorted(names) == sorted(name for name, _ in backbone.named_parameters())
    assert backbone.stages[0].name == "stem"  # class token and position embedding are no module's
    holders = {path for path, m in backbone.model.named_modules() if path and list(m.parameters(recurse=False))}
    assert {stage.name for stage in backbone.stages[1:]} == holders
    assert isinstance(backbone.model.get_submodule(backbone.stages[-1].name), nn.LayerNorm)


def test_a_granularity_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UserError, match=r"backbone.stages=layer: no such value; did you mean 'layers'"):
        built("resnet18", 64, stages="layer")
