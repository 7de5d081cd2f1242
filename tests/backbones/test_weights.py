"""Weights from files of every kind, and sentences for what goes wrong."""

import json
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import Tensor
from torchvision.transforms import v2

from ftlab.backbones.image import TimmBackbone
from ftlab.backbones.pooling import pool
from ftlab.backbones.weights import PACKAGE, PACKAGED_FILE, read
from ftlab.batch import Batch
from ftlab.errors import UserError

NAME = "resnet10t"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(7)
    return timm.create_model(NAME, num_classes=4).state_dict()


def write(state: dict[str, Tensor], path: Path, prefix: str = "") -> Path:
    tensors = {prefix + name: tensor for name, tensor in state.items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    elif path.suffix == ".ckpt":
        torch.save({"epoch": 3, "state_dict": tensors, "hyper_parameters": {"lr": 0.1}}, path)
    else:
        torch.save(tensors, path)
    return path


def load(path: Path, **settings) -> TimmBackbone:
    return TimmBackbone(NAME, weights=str(path), **settings)


def assert_holds(backbone: TimmBackbone, state: dict[str, Tensor]) -> None:
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.model.state_dict().items())


@pytest.mark.parametrize(
    ("file", "prefix"),
    [
        ("w.safetensors", ""),
        ("w.pth", ""),
        ("w.pt", "module."),
        ("w.pth", "_orig_mod.module."),
        ("w.ckpt", "model."),
        ("w.ckpt", "backbone."),
        ("w.ckpt", "model.backbone."),
        ("w.ckpt", "backbone._orig_mod.model."),
    ],
)
def test_a_file_loads_under_any_common_prefix(tmp_path: Path, state: dict, file: str, prefix: str) -> None:
    backbone = load(write(state, tmp_path / file, prefix))
    assert_holds(backbone, state)
    assert str(tmp_path / file) in str(backbone.loaded)
    assert "unexpected" not in str(backbone.loaded)  # the classifier is expected to be left out


def test_a_bundle_of_an_earlier_run_loads_without_its_head(tmp_path: Path, state: dict) -> None:
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    save_file({**body, "ftlab_head.hidden1.0.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    (tmp_path / "bundle.json").write_text(json.dumps({"schema_version": 1}))
    backbone = load(tmp_path)
    assert_holds(backbone, state)
    assert "unexpected" not in str(backbone.loaded)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bundle\.json"):
        load(tmp_path)


def test_missing_tensors_are_listed_and_load_only_if_allowed(tmp_path: Path, state: dict) -> None:
    part = {name: tensor for name, tensor in state.items() if not name.startswith("layer4.")}
    gone = [n for n in state if n.startswith("layer4.") and not n.endswith("num_batches_tracked")]
    path = write(part, tmp_path / "w.pth")
    with pytest.raises(UserError) as caught:
        load(path)
    assert f"{len(gone)} missing ({gone[0]}" in str(caught.value)
    assert f"and {len(gone) - 5} more" in str(caught.value)
    assert "allow_missing" in str(caught.value)
    backbone = load(path, allow_missing=True)
    assert torch.equal(backbone.model.layer3[0].conv1.weight, state["layer3.0.conv1.weight"])
    assert f"{len(gone)} missing" in str(backbone.loaded)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path: Path, state: dict) -> None:
    wrong = dict(state, **{"bn1.weight": torch.ones(3)})
    with pytest.raises(UserError, match=r"1 of another shape \(bn1\.weight \(3,\), not \(\d+,\)\)"):
        load(write(wrong, tmp_path / "w.pth"))


def test_tensors_without_a_place_are_listed_in_the_source(tmp_path: Path, state: dict) -> None:
    backbone = load(write(dict(state, **{"layer9.weight": torch.ones(1)}), tmp_path / "w.pth"))
    assert "1 unexpected (layer9.weight)" in str(backbone.loaded)


def test_weights_of_another_network_do_not_load_even_if_missing_is_allowed(tmp_path: Path) -> None:
    other = write({"encoder.kernel": torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="does not fit"):
        load(other, allow_missing=True)


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors", "w.ckpt"])
def test_a_truncated_an_empty_and_an_absent_file_are_named(tmp_path: Path, state: dict, file: str) -> None:
    path = tmp_path / file
    with pytest.raises(UserError, match="no such file"):
        load(path)
    content = write(state, path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="truncated") as caught:
        load(path)
    assert str(path) in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        load(path)


def test_text_under_the_name_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("hello")
    with pytest.raises(UserError, match="not a file of weights"):
        load(tmp_path / "w.pth")


def test_a_pickle_that_holds_more_than_tensors_is_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "touched"
    torch.save({"weight": torch.ones(1), "more": Touches(str(victim))}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="more than tensors"):
        load(tmp_path / "w.pth")
    assert not victim.exists()


class Touches:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_position_embeddings_are_resized_to_another_image_size(tmp_path: Path) -> None:
    name = "vit_tiny_patch16_224"
    small = timm.create_model(name, img_size=32, num_classes=0).state_dict()
    save_file(small, tmp_path / "w.safetensors")
    backbone = TimmBackbone(name, weights=str(tmp_path / "w.safetensors"), image_size=64)
    assert backbone.model.pos_embed.shape == (1, 1 + 16, 192)
    assert torch.equal(backbone.model.blocks[3].attn.qkv.weight, small["blocks.3.attn.qkv.weight"])


def test_random_weights_follow_the_seed_and_say_so() -> None:
    torch.manual_seed(1)
    first = TimmBackbone(NAME, pretrained=False)
    torch.manual_seed(1)
    second = TimmBackbone(NAME, pretrained=False)
    assert str(first.loaded) == "random"
    assert_holds(first, second.model.state_dict())


def test_meta_takes_no_memory_and_no_weights() -> None:
    backbone = TimmBackbone("vit_large_patch16_224", pretrained=True, meta=True)
    assert all(parameter.is_meta for parameter in backbone.parameters())


@pytest.mark.parametrize(("photograph", "imagenet_class"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_default_network_recognises_photographs(photograph: str, imagenet_class: int) -> None:
    """scikit-learn's photographs of a palace (698) and of a daisy-like flower (985), with the package's classifier."""
    backbone = TimmBackbone().eval()
    assert "efficientnet-lite0" in str(backbone.loaded)
    package = find_spec(PACKAGE)
    assert package is not None
    assert package.origin is not None
    tensors = read(Path(package.origin).parent / PACKAGED_FILE)
    pixels = torch.tensor(load_sample_image(photograph)).permute(2, 0, 1)
    images = v2.CenterCrop(224)(v2.Resize(256)(pixels)).float()[None] / 127.5 - 1
    with torch.no_grad():
        features = backbone(Batch(targets=torch.zeros(1), index=torch.arange(1), inputs={"images": images}))
        logits = pool(features, "average") @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert logits.argmax().item() == imagenet_class


@pytest.mark.parametrize(("offline", "reason"), [(False, "no network"), (True, "HF_HUB_OFFLINE")])
def test_a_hub_out_of_reach_names_the_ways_out_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool, reason: str
) -> None:
    from huggingface_hub import constants

    for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")  # nothing listens on port 1
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"backbone\.weights=FILE.*backbone\.pretrained=false") as caught:
        TimmBackbone("resnet18", pretrained=True)
    assert time.monotonic() - start < 10
    assert reason in str(caught.value)
    assert "resnet18" in str(caught.value)
    assert constants.HF_HUB_OFFLINE is offline


def test_a_network_for_which_timm_has_no_weights_says_so() -> None:
    with pytest.raises(UserError, match=r"no pretrained weights.*backbone\.weights=FILE"):
        TimmBackbone("mixer_s32_224", pretrained=True)
