"""Depthwise weights whose gradient is summed tap by tap: the same numbers as torch's own."""

import copy
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from ftlab.backbones.depthwise import ByTaps, DepthwiseConv2d, DepthwiseConv2dSame, by_taps, is_depthwise, pays
from ftlab.backbones.image import TimmBackbone
from ftlab.backbones.module import ModuleBackbone
from ftlab.composition import compose
from ftlab.run import train
from tests.backbones.test_border import loss_of, train_last_stages
from tests.backbones.test_families import batch_of
from tests.training.tiny import PREPROCESSING, splits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SHAPES = [
    (kernel, stride, side, side + wider)
    for kernel, stride, side, wider in itertools.product((3, 5, 7), (1, 2), (1, 2, 3, 4, 7), (0, 3))
]


def gradients_of(conv: nn.Module, images: Tensor) -> list[Tensor]:
    """By the images, the weight and the bias, of a sum in which every output has another weight; then the output."""
    images = images.clone().requires_grad_()
    outputs = conv(images)
    (outputs * torch.linspace(0.5, 1, outputs.numel()).view_as(outputs)).sum().backward()
    assert images.grad is not None
    return [images.grad, *(parameter.grad for parameter in conv.parameters()), outputs.detach()]  # type: ignore[list-item]


def uses_taps(outputs: Tensor) -> bool:
    return type(outputs.grad_fn).__name__ == "ByTapsBackward"


@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize(("kernel", "stride", "height", "width"), SHAPES)
def test_all_gradients_are_those_of_torch(kind: Any, kernel: int, stride: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(18, 128, height, width)
    conv = kind(128, 128, kernel, stride=stride, padding=kernel // 2, groups=128)
    double = copy.deepcopy(conv).double()
    expected = gradients_of(double, images.double())
    with by_taps(conv):
        assert uses_taps(conv(images)) == pays(kernel, min(height, width), 18 * 128, False, 1) or kind is Conv2dSame
        conv.zero_grad()
        found = gradients_of(conv, images)
    for ours, exact in zip(found, expected, strict=True):
        assert (ours - exact).abs().max() <= 2e-6 * exact.abs().max().clamp(min=1)


@pytest.mark.parametrize("trains", ["nothing", "the images"])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_that_differs_by_side_copies_no_image_and_changes_nothing(
    kernel: int, stride: int, trains: str
) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(8, 8, kernel, stride=stride, groups=8).requires_grad_(False)
    for height, width in ((1, 2), (2, 3), (4, 7), (8, 8), (9, 6), (13, 16)):
        images = torch.randn(2, 8, height, width, requires_grad=trains == "the images")
        expected = conv(images)
        with by_taps(conv):
            found = conv(images)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()
        if trains == "the images":
            wanted, got = (torch.autograd.grad(value.square().sum(), images)[0] for value in (expected, found))
            assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_a_batch_that_is_summed_in_several_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images, weight = torch.randn(32, 64, 6, 6), torch.randn(64, 1, 5, 5, requires_grad=True)
    found = []
    for chunk in (2**19, 1000, 1):
        monkeypatch.setattr("ftlab.backbones.depthwise.CHUNK", chunk)
        ByTaps.apply(images, weight, None, (1, 1), (2, 2)).square().sum().backward()
        found.append(weight.grad)
        weight.grad = None
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-5, atol=1e-3)


def test_the_rule_says_yes_where_torch_was_measured_to_be_slow() -> None:
    plain = {"channels_last": False, "threads": 1}
    assert pays(5, 2, 32 * 1152, **plain)  # 12 ms against 0.6
    assert pays(3, 2, 32 * 1152, **plain)
    assert pays(5, 28, 32 * 240, **plain)  # 126 ms against 53
    assert not pays(3, 16, 32 * 144, **plain)  # 1 ms against 6
    assert not pays(5, 8, 8 * 32, **plain)  # too few to make up for 25 calls
    assert not pays(9, 2, 32 * 1152, **plain)  # not measured
    assert not pays(5, 28, 32 * 240, channels_last=True, threads=1)  # 50 ms against 42
    assert pays(5, 4, 32 * 672, channels_last=True, threads=1)  # 6 ms against 2
    assert pays(5, 4, 32 * 672, channels_last=False, threads=2)
    assert not pays(5, 28, 32 * 240, channels_last=False, threads=2)


@pytest.mark.parametrize(
    "reason",
    [
        "no gradient is wanted",
        "the weight is frozen",
        "half precision",
        "autocast",
        "doubles",
        "one image",
        "channels last",
    ],
)
def test_torch_itself_runs_where(reason: str) -> None:
    conv = nn.Conv2d(64, 64, 5, padding=2, groups=64)
    images = torch.randn(32, 64, 4, 4, requires_grad=True)
    with by_taps(conv):
        assert uses_taps(conv(images))
        if reason == "no gradient is wanted":
            with torch.no_grad():
                assert conv(images).grad_fn is None
        elif reason == "the weight is frozen":
            assert not uses_taps(conv.requires_grad_(False)(images))
        elif reason == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                assert not uses_taps(conv(images))
        elif reason == "channels last":
            assert uses_taps(conv(images.to(memory_format=torch.channels_last)))
            larger = torch.randn(32, 64, 14, 14).to(memory_format=torch.channels_last)
            assert not uses_taps(conv(larger))
            assert uses_taps(conv(larger.contiguous()))
        elif reason == "one image":
            assert conv(images[0]).shape == (64, 4, 4)
        else:
            dtype = torch.bfloat16 if reason == "half precision" else torch.float64
            assert not uses_taps(conv.to(dtype)(images.to(dtype)))


def test_only_plain_depthwise_convolutions_are_meant() -> None:
    assert is_depthwise(nn.Conv2d(8, 8, 5, groups=8))
    for other in (
        nn.Conv2d(8, 8, 5, groups=4),
        nn.Conv2d(8, 16, 5, groups=8),
        nn.Conv2d(1, 1, 5),
        nn.Conv2d(8, 8, (5, 3), groups=8),
        nn.Conv2d(8, 8, 5, dilation=2, groups=8),
        nn.Conv2d(8, 8, 5, stride=(1, 2), groups=8),
        nn.Conv2d(8, 8, 5, groups=8, padding="same"),
        nn.Conv2d(8, 8, 5, groups=8, padding=2, padding_mode="reflect"),
    ):
        assert not is_depthwise(other), other


def step(backbone: TimmBackbone) -> dict[str, Tensor]:
    backbone.zero_grad()
    torch.manual_seed(1)
    loss_of(backbone(batch_of(64, count=8))).backward()
    return {name: parameter.grad.clone() for name, parameter in backbone.named_parameters()}  # type: ignore[union-attr]


def test_a_step_of_the_default_network_has_the_same_gradients_and_evaluation_the_same_bits() -> None:
    backbone = TimmBackbone("tf_efficientnet_lite0", pretrained=False).eval()
    images = batch_of(64, count=8)
    plain = step(backbone)
    with torch.no_grad():
        features = backbone(images).maps
    state, kinds = backbone.state_dict(), [type(module) for module in backbone.modules()]
    with by_taps(backbone):
        inside = [type(module) for module in backbone.modules()]
        assert (inside.count(DepthwiseConv2d), inside.count(DepthwiseConv2dSame)) == (12, 4)
        found = step(backbone)
        assert list(backbone.state_dict()) == list(state)
        twin = copy.deepcopy(backbone)
        twin.load_state_dict(state)
        with torch.no_grad():
            assert torch.equal(backbone(images).maps, features)  # type: ignore[arg-type]
    assert [type(module) for module in backbone.modules()] == kinds
    backbone.load_state_dict(twin.state_dict())
    for name, gradient in plain.items():
        assert (found[name] - gradient).abs().max() <= 1e-5 * gradient.abs().max(), name
    different = [name for name, gradient in plain.items() if not torch.equal(found[name], gradient)]
    assert different  # it was not torch's own way both times


def test_a_network_that_is_cut_at_the_freeze_border_keeps_them_whole() -> None:
    backbone = TimmBackbone("tf_efficientnet_lite0", pretrained=False).eval()
    last = train_last_stages(backbone, 2)
    images = batch_of(64, count=8)
    plain = loss_of(backbone(images))
    with by_taps(backbone):
        prefix, suffix = backbone.cut(last)
        assert torch.equal(loss_of(suffix(*prefix(images.inputs["images"]))), plain)


def test_their_pickled_copy_is_of_the_same_class(tmp_path: Path) -> None:
    conv = nn.Conv2d(64, 64, 5, padding=2, groups=64)
    with by_taps(conv):
        torch.save(conv, tmp_path / "conv.pt")
        torch.save(conv.state_dict(), tmp_path / "state.pt")
    again = torch.load(tmp_path / "conv.pt", weights_only=False)
    assert type(again) is DepthwiseConv2d
    conv.load_state_dict(torch.load(tmp_path / "state.pt"))
    images = torch.randn(32, 64, 4, 4)
    assert torch.equal(again(images), conv(images))


def test_a_compiled_network_goes_its_own_way() -> None:
    conv = nn.Conv2d(64, 64, 5, padding=2, groups=64)
    images = torch.randn(32, 64, 4, 4)
    with by_taps(conv):
        expected = gradients_of(conv, images)
        conv.zero_grad()
        found = gradients_of(torch.compile(conv, backend="eager", fullgraph=True), images)
    for ours, other in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)


def test_a_run_trains_with_them_and_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    conv = nn.Conv2d(64, 64, 5, padding=2, groups=64)
    module = nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 64, 1), top=conv))
    stages = {name: [name] for name in ("stem", "top")}
    backbone = ModuleBackbone(module, stages, num_features=64, preprocessing=PREPROCESSING)
    seen: list[tuple[type, bool]] = []
    conv.register_forward_hook(lambda m, inputs, outputs: seen.append((type(m), uses_taps(outputs))))
    words = ["trainer.accelerator=cpu", "trainer.max_epochs=1", "strategy=full", "data.batch_size=40"]
    train(compose(words), tmp_path / "run", splits(), backbone)
    assert (DepthwiseConv2d, True) in seen  # in the step
    assert (DepthwiseConv2d, False) in seen  # in validation
    assert type(conv) is nn.Conv2d
