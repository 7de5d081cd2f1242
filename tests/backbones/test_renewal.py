"""The last stages of a pretrained network begin at random, the first ones as they were."""

import pytest
import torch

from ftlab.backbones.image import TimmBackbone
from ftlab.errors import UserError
from tests.conftest import Command


def tensors(**settings: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return TimmBackbone(image_size=48, **settings).model.state_dict()


def test_what_lies_before_the_stage_is_pretrained_and_all_behind_it_is_random() -> None:
    kept, random, mixed = tensors(), tensors(pretrained=False), tensors(reinit="blocks.3")
    behind = ("blocks.3.", "blocks.4.", "blocks.5.", "blocks.6.", "conv_head.", "bn2.")
    for name, tensor in mixed.items():
        if name.startswith(behind):
            assert (
                name.endswith("num_batches_tracked")
                or not torch.equal(tensor, kept[name])
                or torch.equal(kept[name], random[name])
            ), name
            assert tensor.shape == random[name].shape
        else:
            assert torch.equal(tensor, kept[name]), name
    assert torch.equal(mixed["blocks.6.0.bn1.running_var"], torch.ones_like(mixed["blocks.6.0.bn1.running_var"]))
    deviation = mixed["blocks.6.0.conv_pw.weight"].std() / random["blocks.6.0.conv_pw.weight"].std()
    assert deviation == pytest.approx(1, abs=0.05)  # drawn as timm draws it


def test_the_source_says_so_and_an_unknown_stage_is_refused(command: Command) -> None:
    said = str(TimmBackbone(image_size=48, reinit="backbone/blocks.6").loaded)
    assert "random from backbone/blocks.6 on" in said
    with pytest.raises(UserError, match=r"reinit=block.3: the network has no such stage; did you mean 'blocks.3'"):
        TimmBackbone(image_size=48, reinit="block.3")
    ended = command("plan", "experiment=transferability", "backbone.reinit=blocks.4", "cache=off")
    assert ended.code == 0, ended.err
    wrong = command("plan", "experiment=transferability", "backbone.reinit=blocks.44", "cache=off")
    assert wrong.code == 2
    assert "did you mean 'blocks.4'" in wrong.err


def test_a_network_of_which_nothing_is_pretrained_is_random_and_no_more() -> None:
    for settings in ({"reinit": "stem"}, {"reinit": "blocks.4", "pretrained": False}):
        for meta in (False, True):
            assert TimmBackbone(image_size=48, meta=meta, **settings).loaded.source == "random"  # type: ignore[arg-type]
