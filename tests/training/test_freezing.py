"""Frozen means: no gradient, evaluation mode, unchanged buffers; at every step, whoever calls train()."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ftlab.backbones.image import TimmBackbone
from ftlab.batch import Batch
from ftlab.freezing import forget, freeze, owners, resting
from ftlab.heads.linear import Linear
from ftlab.heads.mlp import Mlp
from ftlab.model import Model
from ftlab.training.finetuner import FineTuner
from ftlab.training.trainer import only_news
from tests.training.tiny import STAGES, Watch, moved, parameters_of, prepared, tiny_backbone

HEAD = ("head/fc",)


def small(name: str = "tiny", **settings: float) -> Model:
    """A model with every layer that behaves otherwise in training: BatchNorm, dropout, drop path."""
    backbone = tiny_backbone() if name == "tiny" else TimmBackbone(name, pretrained=False, image_size=32, **settings)
    return Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool, dropout=0.5))


def batch_of(size: int = 8, count: int = 6) -> Batch:
    images = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
    return Batch(targets=torch.arange(count) % 4, index=torch.arange(count), inputs={"images": images})


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


# Which module belongs to which stage


def test_a_module_belongs_to_the_stages_of_its_parameters_and_a_drop_path_to_its_block() -> None:
    found = owners(small("vit_tiny_patch16_224", drop_rate=0.1, drop_path_rate=0.2))
    assert found["backbone.model.blocks.3.attn.qkv"] == {"backbone/blocks.3"}
    assert found["backbone.model.blocks.3.drop_path1"] == {"backbone/blocks.3"}
    assert found["backbone.model.blocks.3.attn.attn_drop"] == {"backbone/blocks.3"}
    assert found["backbone.model.blocks.3.mlp.drop2"] == {"backbone/blocks.3"}
    assert found["backbone.model.pos_drop"] == {"backbone/stem"}
    assert found["backbone.model.patch_embed.proj"] == {"backbone/stem"}
    assert found["backbone.model.norm"] == {"backbone/blocks.11"}  # the final norm is the last block's
    assert found["backbone.model.fc_norm"] == {"backbone/blocks.11"}
    assert found["head.dropout"] == {"head/fc"}
    assert "backbone/stem" in found["backbone.model"]
    assert "backbone/blocks.11" in found["backbone.model"]


def test_a_heads_dropout_belongs_to_its_own_hidden_layer() -> None:
    backbone = tiny_backbone()
    found = owners(Model(backbone, Mlp(backbone.num_features, 4, "average", hidden=(5, 6), dropout=0.5)))
    assert found["head.hidden1.2"] == {"head/hidden1"}
    assert found["head.hidden2.2"] == {"head/hidden2"}


@pytest.mark.parametrize(
    "name", ["resnet10t", "mobilenetv3_small_050", "convnext_atto", "swin_tiny_patch4_window7_224"]
)
def test_every_module_of_a_network_has_an_owner(name: str) -> None:
    backbone = TimmBackbone(name, pretrained=False, image_size=64, meta=True)
    model = Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool))
    found = owners(model)
    assert set(found) == {module for module, _ in model.named_modules()}
    assert all(stages and stages <= set(model.addresses) for stages in found.values())


# Modes and gradients


@pytest.mark.parametrize("name", ["tiny", "resnet10t", "vit_tiny_patch16_224"])
def test_with_a_frozen_trunk_its_output_is_that_of_evaluation(name: str) -> None:
    settings = {} if name == "tiny" else {"drop_path_rate": 0.5}
    model = small(name, **settings)
    batch = batch_of(8 if name == "tiny" else 32)
    with torch.no_grad():
        held = freeze(model, HEAD, "train")
        assert model.head.training
        model.train()  # whoever calls it ...
        held.enforce()  # ... harms no step: this runs before each
        during, again = model.backbone(batch), model.backbone(batch)
        model.eval()
        evaluated = model.backbone(batch)
        freeze(model, model.addresses, "train")
        active = model.backbone(batch)
    for kind in ("maps", "tokens"):
        if getattr(evaluated, kind) is not None:
            assert torch.equal(getattr(during, kind), getattr(evaluated, kind))
            assert torch.equal(getattr(again, kind), getattr(evaluated, kind))
            assert not torch.allclose(getattr(active, kind), getattr(evaluated, kind))  # thawed, it does differ


def test_a_thawed_stage_is_in_training_mode_and_a_frozen_one_is_not_even_if_the_model_came_in_evaluation_mode() -> None:
    model = small().eval()
    freeze(model, ("backbone/top", *HEAD), "train")
    found = modes(model)
    for name, training in found.items():
        stage = next((s for s in ("stem", "middle") if name.startswith(f"backbone.model.{s}")), None)
        assert training == (stage is None), name
    freeze(model, STAGES, "train")
    assert all(modes(model).values())


def test_batchnorm_of_a_thawed_stage_follows_the_policy() -> None:
    model = small("resnet10t")
    norms = {name for name, module in model.named_modules() if isinstance(module, _BatchNorm)}
    thawed = {name for name in norms if name.startswith("backbone.model.layer4")}
    assert norms > thawed > set()
    trainable = ("backbone/layer4", *HEAD)
    freeze(model, trainable, "frozen")
    assert {name for name in norms if modes(model)[name]} == set()
    assert modes(model)["backbone.model.layer4.0.conv1"]
    assert model.backbone.model.layer4[0].bn1.weight.requires_grad  # its statistics are frozen, its weights learn
    freeze(model, trainable, "train")
    assert {name for name in norms if modes(model)[name]} == thawed


def test_exactly_the_trainable_stages_require_gradients() -> None:
    model = small()
    trainable = ("backbone/middle", *HEAD)
    freeze(model, trainable, "frozen")
    expected = {name for stage in model.stages if stage.name in trainable for name in stage.parameters}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == expected


def test_gradients_of_what_freezes_become_none_not_zero() -> None:
    model = small()
    freeze(model, STAGES, "frozen")
    model(batch_of()).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    freeze(model, HEAD, "frozen")
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("backbone."), name


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_what_is_frozen_again_stands_still_in_spite_of_momentum_and_weight_decay(kind: type) -> None:
    model = small()
    extra = {} if kind is torch.optim.AdamW else {"momentum": 0.9}
    optimizer = kind(model.parameters(), lr=0.05, weight_decay=0.1, **extra)
    freeze(model, STAGES, "train")
    for _ in range(3):
        model(batch_of()).square().sum().backward()
        optimizer.step()
    held = freeze(model, HEAD, "train")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(5):
        model.train()
        held.enforce()
        optimizer.zero_grad()
        model(batch_of()).square().sum().backward()
        optimizer.step()
    assert moved(before, model.state_dict()) == {"head.fc.weight", "head.fc.bias"}


def test_a_forgotten_parameter_has_no_old_momentum() -> None:
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
    weight.grad = torch.ones(3)
    optimizer.step()
    forget(optimizer, [weight])
    weight.grad = torch.zeros(3)
    optimizer.step()
    assert weight.tolist() == [-1.0] * 3  # with its momentum it would move on to -1.9


def test_resting_modules_hold_no_module_of_a_trainable_stage() -> None:
    model = small()
    chosen = resting(model, ("backbone/top", *HEAD), "train")
    names = {name for name, module in model.named_modules() if any(module is other for other in chosen)}
    assert names == {
        name for name, _ in model.named_modules() if name.startswith(("backbone.model.s", "backbone.model.m"))
    }


# In a run

AGAIN = [
    {"name": "both", "epochs": 2, "stages": {"backbone/top": 1.0, "head": 1.0, "rest": "frozen"}},
    {"name": "head", "epochs": 1, "stages": {"head": 1.0, "rest": "frozen"}},
    {"name": "again", "epochs": 1, "stages": {"backbone/top": 1.0, "head": 1.0, "rest": "frozen"}},
]


class Meddler(Callback):
    """Puts everything into training mode whenever it can."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        pl_module.train()

    def on_train_batch_end(self, trainer: Trainer, pl_module: FineTuner, *_: object) -> None:  # type: ignore[override]
        pl_module.train()

    def on_validation_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        pl_module.train()


class Steps(Callback):
    """The optimizer's state of one parameter and the gradients there are, at each optimizer step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: list[tuple[str, int]] = []  # phase, steps in the state before this one
        self.gradients: list[tuple[str, set[str]]] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:  # type: ignore[no-untyped-def, override]
        parameters = dict(pl_module.model.named_parameters())
        state = optimizer.state.get(parameters[self.name], {})
        phase = pl_module.running.name
        self.state.append((phase, int(state.get("step", torch.zeros(())))))
        self.gradients.append((phase, {name for name, p in parameters.items() if p.grad is not None}))


def test_a_stage_that_freezes_and_thaws_again_stands_still_and_starts_without_its_momentum(tmp_path: Path) -> None:
    watch, steps = Watch(), Steps("backbone.model.top.conv.weight")
    run = prepared(tmp_path, "strategy=phases", "strategy.batchnorm=train", **{"strategy": inline(AGAIN)})
    run.fit(watch, steps, Meddler())
    assert [epoch.phase for epoch in watch.epochs] == ["both", "both", "head", "again"]
    top, head = parameters_of(run, ["backbone/top"]), parameters_of(run, HEAD)
    buffers = {f"backbone.model.top.norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert [moved(e.before, e.after) for e in watch.epochs] == [top | head | buffers] * 2 + [head] + [
        top | head | buffers
    ]
    each = 5  # 40 samples in batches of 8
    assert [done for phase, done in steps.state if phase == "both"] == list(range(2 * each))
    assert {done for phase, done in steps.state if phase == "head"} == {2 * each}  # it rests, and is not used
    assert [done for phase, done in steps.state if phase == "again"] == list(range(each))
    for phase, names in steps.gradients:
        assert names == (head if phase == "head" else top | head)


def inline(entries: list[dict]) -> dict:
    return {"_target_": "ftlab.strategies.phases.Phases", "file": None, "inline": entries, "batchnorm": "train"}


def test_evaluation_freezes_nothing(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=head_only", "trainer.max_epochs=1")
    with only_news():
        run.trainer.validate(run.finetuner, verbose=False)
    assert all(p.requires_grad for p in run.parts.model.parameters())
