"""Norms and the start of what classifies place by place."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from ftlab.backbones.base import Features, Level
from ftlab.batch import Batch
from ftlab.heads.dense.layers import GROUP, normalised
from ftlab.heads.dense.unet import UNet

LEVELS = (Level(6, 4), Level(10, 8))


def unet(width: int) -> UNet:
    torch.manual_seed(0)
    return UNet(LEVELS, 5, strides=(4, 8), width=width)


def maps_of(head: UNet) -> torch.Tensor:
    torch.manual_seed(1)
    levels = torch.randn(4, 6, 8, 8), torch.randn(4, 10, 4, 4)
    return head(Features(levels=levels), Batch(None, torch.arange(4)))


@pytest.mark.parametrize("channels", [3, 8, 12, 16, 20, 34, 128])
def test_a_group_has_as_many_channels_as_divide_and_not_fewer_than_are_worth_it(channels: int) -> None:
    each = channels // normalised(channels).num_groups
    assert channels % each == 0
    assert each >= min(channels, GROUP)
    assert not any(channels % smaller == 0 for smaller in range(GROUP, each))


def test_a_norm_keeps_how_much_of_a_channel_an_image_has() -> None:
    little, much = torch.zeros(8, 2, 2), torch.zeros(8, 2, 2)
    little[0], much[:4] = 1, 1  # constant each, which a channel's own norm would make 0
    found = normalised(8)(torch.stack([little, much]))
    assert found[0, 0].mean() > found[1, 0].mean() + 0.5


def test_all_classes_have_equal_chances_at_first() -> None:
    torch.testing.assert_close(maps_of(unet(16)).softmax(1), torch.full((4, 5, 8, 8), 0.2), atol=0.02, rtol=0)


@pytest.mark.parametrize("width", [8, 16, 64])
def test_a_few_channels_are_sure_of_a_class_after_as_many_steps_as_many(width: int) -> None:
    head = unet(width)
    optimizer = torch.optim.Adam(head.classifier.parameters(), lr=1e-3)
    truth = torch.zeros(4, 8, 8, dtype=torch.int64)
    losses = []
    for _ in range(20):
        loss = cross_entropy(maps_of(head), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(5), abs=0.1)
    assert losses[-1] < math.log(5) / 3
