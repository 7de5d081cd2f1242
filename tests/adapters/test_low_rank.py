"""LoRA and DoRA: what they compute, what moves, and that a bundle needs none of it."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ftlab.adapters.low_rank import merge
from ftlab.adapters.settings import AdapterSettings, lora
from ftlab.backbones.image import TimmBackbone
from ftlab.cli import main
from ftlab.errors import UserError
from ftlab.heads.linear import Linear
from ftlab.model import Model
from ftlab.predictor import load
from tests.backbones.test_families import batch_of
from tests.training.tiny import Watch, moved, parts_of, prepared

peft = pytest.importorskip("peft", reason="adapters are an extra")

STEPS = ["strategy=full", "trainer.max_epochs=2"]


def put(model: Model, settings: AdapterSettings) -> frozenset[str]:
    from ftlab.adapters.low_rank import put_into

    return put_into(model, settings, model.addresses)


def vision_transformer() -> Model:
    torch.manual_seed(0)
    backbone = TimmBackbone("vit_tiny_patch16_224", pretrained=False, image_size=32)
    return Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool)).eval()


def disturbed(model: Model, names: frozenset[str]) -> Model:
    """As after some training: the adapters are no longer what they began as."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if name in names:
            nn.init.normal_(parameter, std=0.05)
    return model


def product(model: Model, layer: str) -> tuple[Tensor, Tensor]:
    """(weight, alpha / rank B A) of an adapted linear layer, with alpha / rank = 2."""
    state = model.state_dict()
    change = 2.0 * state[f"{layer}.lora_B.default.weight"] @ state[f"{layer}.lora_A.default.weight"]
    return state[f"{layer}.base_layer.weight"], change


def test_a_network_with_fresh_adapters_gives_what_it_gave() -> None:
    model = vision_transformer()
    before = model(batch_of(32))
    names = put(model, lora(4, 8.0, 0.0, "auto"))
    assert names
    assert torch.equal(model(batch_of(32)), before)


def test_layers_whose_paths_end_as_that_of_an_adapted_one_stay_as_they_are() -> None:
    backbone = TimmBackbone("resnet18", pretrained=False, image_size=32)
    names = put(Model(backbone, Linear(backbone.num_features, 4, "average")), lora(2, 4.0, 0.0, ["backbone/conv1"]))
    assert {name.split(".lora_")[0] for name in names} == {"backbone.model.conv1"}


def test_lora_adds_the_product_of_two_thin_matrices() -> None:
    model = vision_transformer()
    names = put(model, lora(4, 8.0, 0.0, "backbone/blocks.0.attn.qkv"))
    disturbed(model, names)
    assert {name.split(".lora_")[0] for name in names} == {"backbone.model.blocks.0.attn.qkv"}
    weight, change = product(model, "backbone.model.blocks.0.attn.qkv")
    assert torch.linalg.matrix_rank(change) == 4
    merge(model)
    found = model.backbone.model.blocks[0].attn.qkv
    assert type(found) is nn.Linear
    torch.testing.assert_close(found.weight, weight + change, atol=1e-6, rtol=1e-5)


def test_dora_scales_each_output_to_a_length_of_its_own() -> None:
    model = vision_transformer()
    layer = "backbone.model.blocks.0.mlp.fc1"
    names = put(model, AdapterSettings("dora", 4, 8.0, 0.0, ("backbone/blocks.0.mlp.fc1",), decomposed=True))
    disturbed(model, names)
    weight, change = product(model, layer)
    length = model.state_dict()[f"{layer}.lora_magnitude_vector.default.weight"]
    direction = (weight + change) / (weight + change).norm(dim=1, keepdim=True)
    merge(model)
    torch.testing.assert_close(
        model.backbone.model.blocks[0].mlp.fc1.weight, length[:, None] * direction, atol=1e-6, rtol=1e-4
    )


@pytest.mark.parametrize("decomposed", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "tf_efficientnet_lite0"])
def test_merged_gives_what_unmerged_gave_under_the_names_of_before(name: str, decomposed: bool) -> None:
    torch.manual_seed(0)
    backbone = TimmBackbone(name, pretrained=False, image_size=32)
    model = Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool)).eval()
    stages, names = model.stages, list(model.state_dict())
    disturbed(model, put(model, AdapterSettings("x", 4, 8.0, 0.0, None, decomposed)))
    adapted = model(batch_of(32))
    merge(model)
    torch.testing.assert_close(model(batch_of(32)), adapted, atol=1e-5, rtol=1e-5)
    assert (model.stages, list(model.state_dict())) == (stages, names)


def test_only_adapters_and_head_move_and_the_rest_is_equal_bit_by_bit(tmp_path: Path) -> None:
    watch = Watch()
    run = prepared(tmp_path, *STEPS, "adapters=lora", "adapters.rank=2").fit(watch)
    changed = moved(watch.epochs[0].before, watch.epochs[-1].after)
    adapters = {name for name in run.parts.model.state_dict() if ".lora_" in name}
    assert len(adapters) == 3 * 2  # three convolutions, two matrices each
    trains = adapters | {"head.fc.weight", "head.fc.bias"}
    assert changed == trains
    assert {name for name, p in run.parts.model.named_parameters() if p.requires_grad} == trains


def test_the_optimizer_and_the_plan_know_only_what_trains() -> None:
    parts, *_ = parts_of(*STEPS, "adapters=lora", "adapters.rank=2")
    own = {id(p) for group in parts.optimizer.build(parts.model).param_groups for p in group["params"]}
    names = {name for name, p in parts.model.named_parameters() if id(p) in own}
    assert names == parts.adapted.names | {"head.fc.weight", "head.fc.bias"}
    # rank x (inputs x 3 x 3 + outputs) of each convolution
    assert parts.model.free_sizes() == {
        "backbone/stem": 2 * (3 * 9 + 4),
        "backbone/middle": 2 * (4 * 9 + 6),
        "backbone/top": 2 * (6 * 9 + 8),
        "head/fc": 8 * 4 + 4,
    }


def test_layers_of_stages_that_never_train_get_none() -> None:
    parts, *_ = parts_of("strategy=partial", "strategy.last=1", "trainer.max_epochs=1", "adapters=lora")
    assert {name.split(".")[2] for name in parts.adapted.names} == {"top"}


def test_a_stage_without_an_adapter_stays_frozen_though_its_phase_names_it() -> None:
    parts, *_ = parts_of(*STEPS, "adapters=lora", "adapters.layers=[backbone/top.*]")
    assert parts.phases[0].trainable == ("backbone/top", "head/fc")


def test_adapters_that_nothing_calls_are_refused() -> None:
    """beit's attention multiplies by the weight of qkv itself, so what lies around the layer is never run."""
    beit = TimmBackbone("beit_base_patch16_224", meta=True, image_size=32)
    with pytest.raises(UserError, match=r"reads the weights of backbone/blocks.0.attn.qkv.*adapters.layers"):
        parts_of(*STEPS, "adapters=lora", "data.image_size=32", backbone=beit)


def test_a_pattern_without_a_layer_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"adapters.layers: pattern 'backbone/tpo.conv' matches no .*backbone/top.conv"):
        parts_of(*STEPS, "adapters=lora", "adapters.layers=[backbone/tpo.conv]")


def test_a_head_alone_has_nothing_to_adapt() -> None:
    with pytest.raises(UserError, match=r"adapters=lora: no layer can be adapted .*which stays frozen"):
        parts_of("strategy=head_only", "trainer.max_epochs=1", "adapters=lora")


def test_without_peft_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)  # as where it is not installed
    with pytest.raises(UserError, match=r"adapters=lora: needs peft: pip install 'ftlab\[adapters\]'"):
        put(vision_transformer(), lora(4, 8.0, 0.0, "auto"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "run"
    words = ["adapters=lora", "adapters.rank=2", "optimizer.lr=0.01", "data.image_size=32", "subset=60"]
    words += ["strategy=full", "trainer.max_epochs=2", "trainer.accelerator=cpu", f"hydra.run.dir={folder}"]
    assert main(["train", *words]) == 0
    return folder


def test_a_bundle_differs_from_the_pretrained_weights_by_the_rank_of_the_adapters(run: Path) -> None:
    found, pretrained = load_file(run / "bundle" / "model.safetensors"), TimmBackbone().model.state_dict()
    assert set(found) - set(pretrained) == {"classifier.weight", "classifier.bias"}
    changed = {name for name, value in pretrained.items() if not torch.equal(value, found[name])}
    assert len(changed) == 33  # all that are not depthwise
    assert all(name.endswith("weight") for name in changed)
    for name in changed:
        change = (found[name] - pretrained[name]).flatten(1)
        assert torch.linalg.svdvals(change)[2:].max() < 1e-5 < torch.linalg.svdvals(change)[0]


def test_a_bundle_of_adapters_predicts_without_them(run: Path, tmp_path: Path) -> None:
    told = json.loads((run / "report.json").read_text())
    assert main(["evaluate", f"bundle={run / 'bundle'}", f"output={tmp_path / 'found.json'}"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["metrics"]
    assert found["loss"] == pytest.approx(told["metrics"]["test"]["loss"], abs=1e-4)
    assert not any(".lora_" in name for name, _ in load(run / "bundle").model.named_parameters())
    assert told["phases"][-1]["trainable_parameters"] < 0.05 * told["phases"][-1]["total_parameters"]
