import pytest
import torch
from torch import Tensor, nn

from ftlab.backbones.border import cut
from ftlab.backbones.image import TimmBackbone
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError
from tests.backbones.test_families import batch_of


def train_last_stages(backbone: nn.Module, count: int) -> set[str]:
    trainable = {name for stage in backbone.stages[-count:] for name in stage.parameters}
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in trainable)
    return trainable


def gradients(backbone: nn.Module) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
    backbone.zero_grad(set_to_none=True)
    return found


def loss_of(features) -> Tensor:
    maps = features.maps if features.maps is not None else features.tokens.transpose(1, 2)
    return features.neck(maps.flatten(2).mean(2)).square().sum()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tf_efficientnet_lite0", 64),
        ("vit_tiny_patch16_224", 32),
        ("convnext_atto", 64),
        ("swin_tiny_patch4_window7_224", 64),
    ],
)
def test_gradients_past_the_freeze_border_equal_the_whole_networks(name: str, size: int) -> None:
    backbone = TimmBackbone(name, pretrained=False, image_size=size).eval()
    trainable = train_last_stages(backbone, 2)
    batch = batch_of(size)
    loss_of(backbone(batch)).backward()
    whole = gradients(backbone)

    prefix, suffix = backbone.cut(trainable)
    prefix.eval()
    suffix.eval()
    values = prefix(batch.inputs["images"])
    assert all(isinstance(value, Tensor) and len(value) == 2 and not value.requires_grad for value in values)
    kept = [value.clone() for value in values]
    loss_of(suffix(*values)).backward()
    cut_off = gradients(backbone)

    assert set(whole) == trainable == set(cut_off)
    for parameter in whole:
        torch.testing.assert_close(cut_off[parameter], whole[parameter], atol=1e-6, rtol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(values, kept, strict=True))  # a cache may be read again
    assert not suffix.state_dict()
    assert not list(suffix.parameters())


def test_values_kept_for_two_images_serve_a_batch_of_any_size() -> None:
    backbone = TimmBackbone("swin_tiny_patch4_window7_224", pretrained=False, image_size=64).eval()
    prefix, suffix = backbone.cut(train_last_stages(backbone, 2))
    prefix.eval()
    suffix.eval()
    batch = batch_of(64, count=3)
    values = prefix(batch.inputs["images"])
    with torch.no_grad():
        part = suffix(*(value[1:2] for value in values)).maps
        torch.testing.assert_close(part, backbone(batch).maps[1:2], atol=1e-5, rtol=1e-4)


def test_sizes_of_frozen_values_are_asked_again_and_not_kept() -> None:
    class AsksSize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(4, 4)
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.frozen(x)
            count, width = x.shape[0], x.size(1)
            return self.layer(x).reshape(count, 2, width // 2)

    network = AsksSize()
    prefix, suffix = cut(network, {"layer.weight"})
    x = torch.randn(3, 4)
    values = prefix(x)
    assert [tuple(value.shape) for value in values] == [(3, 4)]
    torch.testing.assert_close(suffix(*(value[:2] for value in values)), network(x)[:2])


def test_a_trained_stage_uses_its_dropout_in_train_mode_and_a_frozen_one_does_not() -> None:
    backbone = ModuleBackbone(TwoDrops(), {"first": ["first"], "second": ["second"]}, 8)
    prefix, suffix = backbone.cut({"model.second.linear.weight"})
    vectors = torch.ones(2, 8)
    backbone.train()
    (value,) = prefix.train()(vectors)
    torch.testing.assert_close(value, backbone.model.first.linear(vectors))  # no branch of train mode
    suffix.train()
    in_training = suffix(value).vector
    suffix.eval()
    torch.testing.assert_close(in_training, 3 * suffix(value).vector)


class Tripled(nn.Module):
    """A Python branch on the mode: three times as much in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * (3 if self.training else 1)


def test_a_change_in_place_whose_result_nobody_takes_is_not_left_out() -> None:
    """As drop path scales its mask: without it the mean of what passes would shrink."""

    class Scales(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.layer = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones_like(self.layer(self.frozen(x)))
            mask.mul_(3)
            hidden = self.frozen(x)
            hidden.relu_()
            return mask * self.layer(hidden)

    network, x = Scales(), torch.randn(3, 4)
    prefix, suffix = cut(network, {"layer.weight", "layer.bias"})
    torch.testing.assert_close(suffix(*prefix(x)), network(x))


def test_a_network_that_writes_into_a_part_of_a_tensor_is_refused() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.layer = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.frozen(x)
            x[:, 0].zero_()
            return self.layer(x)

    with pytest.raises(UserError, match="changes a part of a tensor in place"):
        cut(Writes(), {"layer.weight"})


class TwoDrops(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Tripled()
        self.second = Tripled()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def test_tracing_leaves_every_module_in_the_mode_it_was_in() -> None:
    backbone = TimmBackbone("resnet18", pretrained=False)
    backbone.model.layer2.eval()
    before = [module.training for module in backbone.modules()]
    backbone.cut(train_last_stages(backbone, 1))
    assert [module.training for module in backbone.modules()] == before


def test_a_parameter_shared_by_two_layers_keeps_both_of_them_trainable() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    module[4].weight = module[0].weight
    prefix, _ = cut(module, {"0.weight"})
    x = torch.randn(2, 4)
    assert torch.equal(prefix(x)[0], x)
    only_bias, _ = cut(module, {"4.bias"})
    torch.testing.assert_close(only_bias(x)[0], module[:4](x))


def test_parts_follow_the_network_when_its_buffers_are_replaced() -> None:
    module = WithBuffer()
    prefix, suffix = cut(module, {"layer.weight"})
    module.double()
    x = torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(suffix(*prefix(x)), module(x))


class WithBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.ones(4))
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x + self.shift) + self.shift


def test_everything_frozen_puts_the_border_at_the_output() -> None:
    backbone = TimmBackbone("resnet18", pretrained=False).eval()
    batch = batch_of(32)
    prefix, suffix = backbone.cut(set())
    (value,) = prefix(batch.inputs["images"])
    with torch.no_grad():
        expected = backbone(batch).maps
    assert torch.equal(value, expected)
    assert torch.equal(suffix(value).maps, expected)


def test_a_network_that_branches_on_its_input_is_refused_with_a_way_out() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if x.sum() > 0 else x

    with pytest.raises(UserError, match=r"Branches cannot be cut.*with cache=off"):
        cut(Branches(), {"layer.weight"})


def test_a_users_module_has_the_stages_of_its_dict_and_says_what_is_left() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3))
    backbone = ModuleBackbone(module, {"low": ["0"], "high": ["2"]}, num_features=8)
    assert [stage.parameters for stage in backbone.stages] == [
        ("model.0.weight", "model.0.bias"),
        ("model.2.weight", "model.2.bias"),
    ]
    assert backbone(batch_of(8)).maps.shape == (2, 8, 4, 4)
    with pytest.raises(UserError, match=r"2 parameters are in no stage: 2.weight, 2.bias"):
        ModuleBackbone(module, {"low": ["0"]}, num_features=8)
    with pytest.raises(UserError, match=r"'0.weight' is in the stages low and high"):
        ModuleBackbone(module, {"low": ["0"], "high": ["0", "2"]}, num_features=8)
    with pytest.raises(UserError, match="under '9'"):
        ModuleBackbone(module, {"low": ["0"], "high": ["9"]}, num_features=8)


@pytest.mark.parametrize(("shape", "kind"), [((2, 5, 8), "tokens"), ((2, 8), "vector")])
def test_a_users_module_may_give_tokens_or_a_vector(shape: tuple[int, ...], kind: str) -> None:
    backbone = ModuleBackbone(nn.LayerNorm(8), {"all": ["weight", "bias"]}, num_features=8)
    batch = Batch(targets=torch.zeros(2), index=torch.arange(2), inputs={"vectors": torch.randn(shape)})
    assert getattr(backbone(batch), kind).shape == shape
