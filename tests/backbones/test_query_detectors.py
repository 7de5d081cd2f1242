"""transformers' detectors as whole networks, built from tiny descriptions: what they find, their losses, their stages.

Shapes: b batch.
"""

import json
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import ftlab
from ftlab.backbones.detectors.of_transformers import TransformersDetector
from ftlab.batch import Batch
from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.freezing import freeze
from ftlab.heads.dense.detector import Detector
from ftlab.model import Model
from ftlab.targets.boxes import Boxes
from tests.backbones.test_detectors import targets
from tests.test_detection_run import squares

transformers = pytest.importorskip("transformers", reason="an extra")

BODY = transformers.RTDetrResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1],
                                       layer_type="basic", out_features=["stage2", "stage3", "stage4"])  # fmt: skip
HYBRID = {"backbone_config": BODY, "encoder_hidden_dim": 32, "encoder_in_channels": [16, 16, 16], "d_model": 32,
          "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "decoder_layers": 2, "num_queries": 20, "num_denoising": 4,
          "decoder_in_channels": [32, 32, 32], "decoder_attention_heads": 2, "encoder_attention_heads": 2}  # fmt: skip
SMALL = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "d_model": 16,
         "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_queries": 12,
         "encoder_attention_heads": 2, "decoder_attention_heads": 2}  # fmt: skip
PLAIN = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1],
                                  layer_type="basic", out_features=["stage4"])  # fmt: skip
WINDOWED = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "image_size": 64,
            "patch_size": 16, "num_windows": 1, "out_features": ["stage1", "stage2"]}  # fmt: skip
GROUPED = {"d_model": 32, "decoder_ffn_dim": 32, "decoder_layers": 2, "decoder_self_attention_heads": 2,
           "num_queries": 12, "decoder_cross_attention_heads": 2, "group_detr": 2, "c2f_num_blocks": 1,
           "decoder_n_points": 2}  # fmt: skip
MADE = {
    "rf_detr": lambda: transformers.RfDetrConfig(
        **GROUPED, backbone_config=transformers.RfDetrDinov2Config(**WINDOWED)
    ),
    "rt_detr_v2": lambda: transformers.RTDetrV2Config(**HYBRID),
    "d_fine": lambda: transformers.DFineConfig(**HYBRID, hidden_size=32),
    "detr": lambda: transformers.DetrConfig(**SMALL, backbone_config=PLAIN),
}
CLASSES, SIZE = 3, (64, 96)


def described(kind: str) -> dict[str, Any]:
    own = MADE[kind]()
    return json.loads(json.dumps(own.to_diff_dict() | {"model_type": own.model_type, "num_labels": 5}))


def detector(kind: str) -> Model:
    torch.manual_seed(0)
    backbone = TransformersDetector(config=described(kind), pretrained=False, image_size=SIZE)
    return Model(backbone, Detector(backbone, CLASSES)).eval()


def batch() -> Batch:
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    return Batch(targets(), torch.arange(2), {"images": images})


@pytest.mark.parametrize(("kind", "processor"), [
    ("rt_detr_v2", "RTDetrImageProcessor"), ("d_fine", "RTDetrImageProcessor"), ("detr", "DetrImageProcessor"),
])  # fmt: skip
def test_a_detector_finds_what_the_librarys_own_processor_finds(kind: str, processor: str) -> None:
    model, given = detector(kind), batch()
    with torch.no_grad():
        found = model(given).found(0.01, 0.5, 60)
        raw = model.backbone.model(pixel_values=given.inputs["images"])
    outputs = SimpleNamespace(logits=raw.logits, pred_boxes=raw.pred_boxes)
    theirs = getattr(transformers, processor)().post_process_object_detection(outputs, 0.01, target_sizes=[SIZE] * 2)
    for one, other in zip(found, theirs, strict=True):
        order = other["scores"].argsort(descending=True, stable=True)[:60]
        if kind == "detr":  # its processor gives each query its best class alone, ours the surest of all
            assert one["scores"][0] == other["scores"][order[0]]
            assert torch.allclose(one["boxes"][0], other["boxes"][order[0]], atol=1e-4)
            continue
        n = min(len(one["scores"]), len(order))
        assert n >= 20
        assert torch.allclose(one["scores"][:n], other["scores"][order][:n])
        assert torch.allclose(one["boxes"][:20], other["boxes"][order][:20], atol=1e-4)


@pytest.mark.parametrize("kind", ["rt_detr_v2", "d_fine", "rf_detr"])
def test_losses_of_images_add_up_to_the_loss_of_their_batch(kind: str) -> None:
    model, given = detector(kind), batch()
    with torch.no_grad():
        total, weight = model(given).losses(given.targets)
        several = [given.select(torch.tensor([place])) for place in (0, 1)]
        parts = [model(one).losses(one.targets) for one in several]
    assert weight == sum(part[1] for part in parts) == 2
    torch.testing.assert_close(total, sum(part[0] for part in parts), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", MADE)
def test_every_parameter_is_of_one_stage_and_trains_where_it_is_to(kind: str) -> None:
    model, given = detector(kind), batch()
    assert model.addresses[-1] == "head/classes"
    assert any("decoder.layers.1" in address for address in model.addresses)
    assert sum(model.sizes().values()) == sum(p.numel() for p in model.parameters())
    freeze(model, ["head/classes"], "frozen")
    total, _ = model(given).losses(given.targets)
    total.backward()
    learns = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learns
    assert learns <= {name for stage in model.stages[-1:] for name in stage.parameters}


def test_only_the_layers_that_say_the_class_are_new() -> None:
    torch.manual_seed(0)
    backbone = TransformersDetector(config=described("d_fine"), pretrained=False, image_size=SIZE)
    before = deepcopy(backbone.model.state_dict())
    backbone.renew(CLASSES)
    after = backbone.model.state_dict()
    assert {name for name in before if before[name].shape != after[name].shape} == backbone.new
    assert all(torch.equal(before[name], after[name]) for name in before if name not in backbone.new)
    assert {name for name in backbone.new if name.startswith("class_embed")}


def test_a_name_that_is_none_and_a_network_that_detects_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a folder as transformers saves it, or a name on its hub"):
        TransformersDetector()
    transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="bert is no object detector"):
        TransformersDetector(str(tmp_path))


def test_a_run_from_a_folder_goes_to_a_bundle_that_predicts_the_same_without_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = tmp_path / "network"
    whole = transformers.AutoModelForObjectDetection.from_config(MADE["rt_detr_v2"]())
    whole.save_pretrained(source)
    data = Splits(*(squares([2, 1, 0, 2], seed) for seed in range(3)), Boxes(("dark", "light")))
    words = ["backbone=transformers_detector", f"backbone.name={source}", "data=own", "data.image_size=64"]
    words += ["strategy=partial", "strategy.last=1", "trainer.max_epochs=2", "data.batch_size=2"]
    words += ["trainer.accelerator=cpu", "trainer.precision=32-true"]
    report = ftlab.train(ftlab.compose(words), run_dir=tmp_path / "run", data=data)
    assert report["backbone"]["weights"] == str(source)
    source.rename(tmp_path / "elsewhere")
    predictor = ftlab.load(tmp_path / "run" / "bundle")
    held, before = predictor.model.backbone.model.state_dict(), whole.state_dict()
    frozen = [name for name in before if name.startswith("model.encoder.fpn_blocks")]
    assert frozen
    assert all(torch.equal(held[name], before[name]) for name in frozen)
    images = [data.test.inputs[place] for place in range(4)]  # type: ignore[union-attr]
    prepared = torch.stack([predictor.prepared(image)[0]["images"] for image in images])
    with torch.no_grad():
        own = predictor.model.backbone.model(pixel_values=prepared)
    records = predictor.predict(images, score=0.05)
    scores = [max([0.0, *(box["score"] for box in record["boxes"])]) for record in records]
    best = own.logits.sigmoid().flatten(1).amax(1)
    assert scores == pytest.approx([float(one) if one > 0.05 else 0.0 for one in best], abs=1e-4)


@pytest.mark.slow
def test_a_detector_of_queries_begins_to_learn_a_few_images_by_heart(tmp_path: Path) -> None:
    several = squares([2, 1, 2, 1], 0)
    (tmp_path / "network").mkdir()
    MADE["rt_detr_v2"]().save_pretrained(tmp_path / "network")
    words = ["backbone=transformers_detector", f"backbone.name={tmp_path / 'network'}", "backbone.pretrained=false"]
    words += ["data=own", "data.image_size=64", "data.batch_size=4", "strategy=full", "trainer.max_epochs=150"]
    words += [
        "optimizer.lr=0.002",
        "strategy.average=false",
        "schedule=constant",
        "trainer.accelerator=cpu",
        "trainer.precision=32-true",
    ]
    data = Splits(several, several, several, Boxes(("dark", "light")))
    report = ftlab.train(ftlab.compose(words), run_dir=tmp_path / "run", data=data)
    maps = [record["val"]["map_50"] for record in report["history"]]
    assert maps[0] < 0.05
    assert max(maps) > 0.2  # of a network with 32 channels
