import pytest
import torch

from ftlab.backbones.image import TimmBackbone
from ftlab.errors import UserError
from tests.backbones.test_border import gradients, loss_of, train_last_stages
from tests.backbones.test_families import batch_of


def pair(name: str, size: int) -> tuple[TimmBackbone, TimmBackbone]:
    plain = TimmBackbone(name, pretrained=False, image_size=size)
    checkpointed = TimmBackbone(name, pretrained=False, image_size=size, checkpointing=True)
    checkpointed.load_state_dict(plain.state_dict())
    return plain.train(), checkpointed.train()


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 32), ("vit_tiny_patch16_224", 32), ("tf_efficientnet_lite0", 32)]
)
def test_gradients_and_batchnorm_statistics_are_those_without_checkpointing(name: str, size: int) -> None:
    found = []
    for backbone in pair(name, size):
        for _ in range(2):
            loss_of(backbone(batch_of(size, count=4))).backward()
        found.append((gradients(backbone), dict(backbone.named_buffers())))
    (plain, plain_buffers), (checkpointed, buffers) = found
    assert set(plain) == set(checkpointed)
    for parameter, gradient in plain.items():
        torch.testing.assert_close(checkpointed[parameter], gradient, atol=1e-5, rtol=1e-4)
    for buffer, value in plain_buffers.items():
        torch.testing.assert_close(buffers[buffer], value)


def test_a_frozen_block_runs_once_a_step_and_a_trained_one_twice() -> None:
    _, backbone = pair("vit_tiny_patch16_224", 32)
    train_last_stages(backbone, 3)
    calls = [0] * 12
    for number, block in enumerate(backbone.model.blocks):

        def count(*_: object, number: int = number) -> None:
            calls[number] += 1

        block.register_forward_pre_hook(count)
    loss_of(backbone(batch_of(32))).backward()
    assert calls == [1] * 9 + [2] * 3


def test_a_network_without_checkpointing_says_so() -> None:
    with pytest.raises(UserError, match=r"backbone.checkpointing=true"):
        TimmBackbone("inception_v4", pretrained=False, checkpointing=True, meta=True)


def test_a_checkpointed_network_is_not_cut() -> None:
    backbone = TimmBackbone("resnet18", pretrained=False, checkpointing=True, meta=True)
    with pytest.raises(UserError, match=r"backbone.checkpointing=true.*without a cache"):
        backbone.cut(set())
