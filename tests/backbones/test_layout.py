import copy

import pytest
import torch
from timm import create_model

import ftlab
from ftlab.backbones.layout import channels_last
from ftlab.training.finetuner import FineTuner
from tests.training.tiny import splits, tiny_backbone


def test_maps_follow_the_weights_and_the_outputs_stay() -> None:
    network = create_model("mobilenetv3_small_050", num_classes=3).eval()
    images = torch.randn(2, 3, 64, 64)
    expected, before = network(images), copy.deepcopy(network.state_dict())
    with channels_last(network, torch.device("cpu")):
        assert network.conv_stem(images).is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(network(images), expected, atol=1e-5, rtol=1e-4)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.stride() == before[name].stride()


def test_nothing_is_changed_on_a_device_on_which_it_was_not_measured() -> None:
    network = create_model("mobilenetv3_small_050", num_classes=3)
    with channels_last(network, torch.device("cuda")):
        assert network.conv_stem.weight.is_contiguous()


def test_a_run_trains_with_channels_last_and_leaves_weights_as_they_are_usually_kept(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    step = FineTuner.training_step

    def watched(self, batch, batch_idx):
        weight = self.model.backbone.model.middle.conv.weight
        seen.add((weight.is_contiguous(), weight.is_contiguous(memory_format=torch.channels_last)))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(FineTuner, "training_step", watched)
    backbone = tiny_backbone()
    words = ["strategy=full", "trainer.max_epochs=1", "trainer.accelerator=cpu", "data.image_size=8"]
    ftlab.train(ftlab.compose(words), tmp_path / "run", data=splits(), backbone=backbone)
    assert seen == {(False, True)}
    assert backbone.model.middle.conv.weight.is_contiguous()
