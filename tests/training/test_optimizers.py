"""Which parameter is in which group, with which weight decay; conf/optimizer is enumerated."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Callback

from ftlab.backbones.image import TimmBackbone
from ftlab.config import instantiate, options
from ftlab.errors import UserError
from ftlab.heads.linear import Linear
from ftlab.heads.mlp import Mlp
from ftlab.model import Model
from ftlab.optimizers import OptimizerSettings, groups
from tests.training.tiny import prepared, tiny_backbone

OPTIONS = sorted(options("optimizer"))


def settings_of(option: str, **changed: Any) -> OptimizerSettings:
    return instantiate({**options("optimizer")[option], **changed})


def with_linear(backbone: Any) -> Model:
    return Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool))


def decays(model: Model, optimizer: OptimizerSettings) -> dict[str, float]:
    """Weight decay of each parameter, by its name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group["weight_decay"] for group in groups(model, optimizer) for p in group["params"]}


def test_the_options_that_were_promised_are_there() -> None:
    assert {"adamw", "adam", "sgd", "rmsprop"} <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_builds_an_optimizer_that_holds_every_parameter_once_from_the_start(option: str) -> None:
    model = with_linear(tiny_backbone())
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)  # frozen ones have their groups too
    optimizer = settings_of(option).build(model)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in model.parameters()}
    assert [g["stage"] for g in optimizer.param_groups] == sorted(
        (g["stage"] for g in optimizer.param_groups), key=model.addresses.index
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_the_settings_of_an_option_reach_the_optimizer(option: str) -> None:
    node = options("optimizer")[option]
    optimizer = settings_of(option).build(with_linear(tiny_backbone()))
    assert type(optimizer).__name__.lower() == option
    for key in node.keys() - {"_target_", "lr", "weight_decay", "decay_norms_and_biases"}:
        value = tuple(node[key]) if isinstance(node[key], list) else node[key]
        assert optimizer.defaults[key] == value


@pytest.mark.parametrize("option", OPTIONS)
def test_norms_and_biases_do_not_decay_unless_asked(option: str) -> None:
    model = with_linear(tiny_backbone())
    plain = {name for name, parameter in model.named_parameters() if parameter.ndim == 1}
    assert {"backbone.model.stem.norm.weight", "head.fc.bias"} <= plain
    for name, decay in decays(model, settings_of(option, weight_decay=0.3)).items():
        assert decay == (0.0 if name in plain else 0.3), name
    asked = decays(model, settings_of(option, weight_decay=0.3, decay_norms_and_biases=True))
    assert set(asked.values()) == {0.3}


def test_a_heads_own_weight_decay_is_for_its_weights_alone() -> None:
    backbone = tiny_backbone()
    head = Mlp(backbone.num_features, 4, "average", hidden=(5,), weight_decay=0.7)
    found = decays(Model(backbone, head), settings_of("adamw", weight_decay=0.3))
    for name, decay in found.items():
        expected = 0.0 if name.endswith("bias") or ".norm." in name else 0.7 if name.startswith("head.") else 0.3
        assert decay == expected, name
    head._weight_decay = 0.0  # a decay of 0 is one of its own too
    assert decays(Model(backbone, head), settings_of("adamw"))["head.fc.weight"] == 0.0


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "eva02_tiny_patch14_224"])
def test_what_timm_trains_without_weight_decay_is_exempt(name: str) -> None:
    size = 56 if "eva" in name else 64
    backbone = TimmBackbone(name, pretrained=False, image_size=size, meta=True)
    expected = set(timm.create_model(name, num_classes=0, img_size=size).no_weight_decay())
    wide = {n for n, p in backbone.model.named_parameters() if p.ndim > 1}
    assert expected & wide  # something that only the exemption spares
    found = decays(with_linear(backbone), settings_of("adamw"))
    for parameter in wide:
        decay = found[f"backbone.model.{parameter}"]
        assert decay == (0.0 if parameter in expected else 0.01), parameter


def test_a_network_that_exempts_nothing_has_no_exemptions() -> None:
    assert TimmBackbone("resnet10t", pretrained=False, meta=True).no_weight_decay == frozenset()


def test_adam_needs_two_betas() -> None:
    with pytest.raises(UserError, match=r"optimizer.betas=\[0.9\]"):
        settings_of("adam", betas=[0.9])


def test_two_tensors_of_equal_values_both_train(tmp_path: Path) -> None:
    """Compared by value instead of identity, one of them would be thawed and never stepped."""
    run = prepared(tmp_path, "strategy=full", "trainer.max_epochs=1")
    model = run.parts.model.backbone.model
    twins = [model.stem.norm.bias, model.middle.norm.bias, model.top.norm.bias]
    assert all(torch.equal(twin, torch.zeros_like(twin)) for twin in twins)
    run.fit()
    assert all(twin.abs().min() > 0 for twin in twins)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_trains_each_stage_at_its_own_rate(tmp_path: Path, option: str) -> None:
    rates = "rates.patterns={backbone/stem: 0.001, head: 1.0, rest: 0.1}"
    run = prepared(
        tmp_path, f"optimizer={option}", "strategy=full", "trainer.max_epochs=1", "rates=differential", rates
    )
    run.fit()
    held = {group["stage"]: group["lr"] for group in run.trainer.optimizers[0].param_groups}
    assert held == pytest.approx(
        {"backbone/stem": 1e-5, "backbone/middle": 1e-3, "backbone/top": 1e-3, "head/fc": 1e-2}
    )


@pytest.mark.parametrize("option", ["adam", "adamw"])
def test_on_a_cpu_one_fused_call_moves_all_parameters_as_the_plain_loop_does(option: str) -> None:
    found = []
    for fused in (True, False):
        model = with_linear(tiny_backbone())
        torch.nn.init.constant_(model.head.fc.weight, 0.1)
        torch.nn.init.constant_(model.head.fc.bias, 0.1)
        optimizer = settings_of(option).build(model)
        assert all(group["fused"] for group in optimizer.param_groups)
        for group in optimizer.param_groups:
            group["fused"] = fused
        generator = torch.Generator().manual_seed(0)
        for step in range(5):
            for number, parameter in enumerate(model.parameters()):
                later = number == 0 and step < 3  # thawed later than others of its group
                parameter.grad = None if later else torch.randn(parameter.shape, generator=generator)
            optimizer.step()
        found.append([parameter.detach().clone() for parameter in model.parameters()])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


def test_off_the_cpu_and_where_torch_has_none_no_optimizer_is_fused() -> None:
    model = with_linear(tiny_backbone())
    for option in ("sgd", "rmsprop"):
        assert not any(group.get("fused") for group in settings_of(option).build(model).param_groups)
    elsewhere = settings_of("adamw").build(model.to("meta"))
    assert not any(group["fused"] for group in elsewhere.param_groups)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_at_every_precision(tmp_path: Path, option: str, precision: str) -> None:
    words = ("strategy=full", f"optimizer={option}", f"trainer.precision={precision}", "trainer.max_epochs=1")
    lengths: list[float] = []

    class Lengths(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
            gradients = [p.grad.flatten() for p in pl_module.model.parameters() if p.grad is not None]
            lengths.append(float(torch.cat(gradients).norm()))

    prepared(tmp_path, *words, "trainer.gradient_clip_val=1e-3").fit(Lengths())
    assert lengths == pytest.approx([1e-3] * 5, rel=1e-2)


def test_a_step_on_a_cpu_looks_for_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that is left out still has the name under which torch calls it."""
    optimizer = settings_of("adamw").build(with_linear(tiny_backbone()))
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: 1 / 0)
    optimizer.step()
    with pytest.raises(ZeroDivisionError):
        torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]).step()
