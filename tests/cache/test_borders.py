"""The model cut at any freeze border computes what the whole model computes."""

import pytest
import torch
from timm.layers import StdConv2d
from torch import nn

from ftlab.backbones.border import Traced
from ftlab.backbones.depthwise import by_taps
from ftlab.backbones.folded import fast
from ftlab.backbones.image import TimmBackbone
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.cache.borders import POOLED, Borders, at_border
from ftlab.heads.linear import Linear
from ftlab.heads.mlp import Mlp
from ftlab.model import Model
from tests.backbones.test_families import batch_of

FAMILIES = [
    ("tf_efficientnet_lite0", 64),
    ("resnet18", 64),
    ("densenet121", 32),
    ("mobilenetv3_small_050", 64),
    ("vit_tiny_patch16_224", 32),
]


def model_of(name: str, size: int) -> Model:
    torch.manual_seed(0)
    backbone = TimmBackbone(name, pretrained=False, image_size=size)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics of 0 and 1 would hide a fold that is wrong
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return Model(backbone, Linear(backbone.num_features, 10, backbone.default_pool)).eval()


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_every_border_gives_the_outputs_of_the_whole_model_and_one_pass_gives_all_borders(name: str, size: int) -> None:
    model, batch = model_of(name, size), batch_of(size)
    with torch.no_grad():
        whole = model(batch)
    cuts = Borders(model)
    alone: dict[str, torch.Tensor] = {}
    for count in {1, 2, len(model.addresses) // 2, len(model.addresses) - 1}:
        border = cuts.of(model.addresses[-count:])
        assert border is not None
        assert border.stages == set(model.addresses[: len(model.addresses) - count])
        values = cuts.values(border.names)(batch)
        model.rest = border.rest
        with torch.no_grad():
            torch.testing.assert_close(model(at_border(batch, values)), whole, atol=1e-4, rtol=1e-4)
        alone |= dict(zip(border.names, values, strict=True))
    together = cuts.values(list(alone))(batch)
    assert all(torch.equal(a, b) for a, b in zip(together, alone.values(), strict=True))
    assert cuts.of(model.addresses) is None


def test_a_head_that_learns_from_a_vector_has_its_border_behind_the_pooling() -> None:
    model = model_of("resnet18", 64)
    border = Borders(model).of(["head/fc"])
    assert border is not None
    assert border.names == (POOLED,)
    (value,) = Borders(model).values(border.names)(batch_of(64))
    assert value.shape == (2, 512)


def test_a_head_with_dropout_drops_behind_the_border() -> None:
    backbone = TimmBackbone("resnet18", pretrained=False)
    model = Model(backbone, Mlp(512, 3, "average", hidden=[64], dropout=0.5))
    border = Borders(model).of(["head/hidden1", "head/fc"])
    assert border is not None
    model.rest = border.rest
    values = Borders(model).values(border.names)(batch_of(64))
    model.train()
    assert not torch.equal(model(at_border(batch_of(64), values)), model(at_border(batch_of(64), values)))


class InPlace(nn.Module):
    """The second layer begins by changing what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(x).relu_().mul_(2)).neg_())


def test_a_value_that_the_next_layer_changes_in_place_is_kept_as_it_was() -> None:
    names = ["first", "second", "third"]
    backbone = ModuleBackbone(InPlace(), {name: [name] for name in names}, 8)
    model = Model(backbone, Linear(8, 2, "average")).eval()
    batch = Batch(
        targets=torch.zeros(4, dtype=torch.long), index=torch.arange(4), inputs={"vectors": torch.randn(4, 8)}
    )
    cuts, found = Borders(model), []
    for place in (1, 2, 3):
        border = cuts.of([*(f"backbone/{name}" for name in names[place:]), "head/fc"])
        assert border is not None
        found += list(border.names)
    for name, together in zip(found, cuts.values(found)(batch), strict=True):
        torch.testing.assert_close(together, cuts.values([name])(batch)[0])


def test_batchnorm_is_folded_where_it_alone_follows_a_convolution() -> None:
    model = model_of("resnet18", 64)
    traced = model.backbone.traced()
    run = fast(traced.network, traced.before(["layer2_1_act2"])).__wrapped__
    left = [module for module in run.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not left
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())  # the model's own are there


def test_batchnorm_is_folded_while_a_run_trains_too_when_depthwise_convolutions_are_of_another_class() -> None:
    model, batch = model_of("tf_efficientnet_lite0", 64), batch_of(64)
    plain = model.backbone.traced()
    names = [node.name for node in plain.graph.nodes if node.target == "blocks.6.0.bn3"]
    expected = plain.prefix(names)(batch.inputs["images"])
    with by_taps(model):
        run = model.backbone.traced().fast(names)
        found = run(batch.inputs["images"])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in run.__wrapped__.modules())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_convolution_that_changes_its_weight_before_it_uses_it_is_not_folded() -> None:
    module = nn.Sequential(StdConv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)).eval()
    module[1].running_var.fill_(4.0)
    traced = Traced(module)
    images = torch.randn(2, 3, 8, 8)
    (name,) = {node.name for node in traced.graph.nodes if node.target == "1"}
    torch.testing.assert_close(traced.fast([name])(images)[0], module[:2](images))


def test_a_digest_changes_with_every_weight_and_buffer_before_the_value_and_with_no_other() -> None:
    model = model_of("resnet18", 64)
    value = Borders(model).of([a for a in model.addresses if not a.startswith(("backbone/stem", "backbone/layer1"))])
    assert value is not None
    (name,) = value.names

    def digests() -> tuple[str, str]:
        cuts = Borders(model)
        return cuts.digest(name), cuts.digest(POOLED)

    start = digests()
    assert digests() == start
    with torch.no_grad():
        model.backbone.model.layer4[0].conv1.weight[0, 0, 0, 0] += 1
    later = digests()
    assert later[0] == start[0]
    assert later[1] != start[1]
    model.backbone.model.layer1[0].bn1.running_var[0] += 1
    assert digests()[0] != start[0]
    model.head.pool = "max"
    assert digests()[1] != later[1]
