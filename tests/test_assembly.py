from typing import Any

import torch

import ftlab
from ftlab.assembly import assemble
from ftlab.config import plainly

SMALL = ["backbone.name=resnet10t", "backbone.pretrained=false", "data.image_size=32"]


def weights(*overrides: str) -> dict[str, Any]:
    settings = plainly(ftlab.compose([*SMALL, *overrides]), resolve=True)
    return assemble(settings).model.state_dict()


def test_new_weights_depend_on_the_seed_alone():
    first = weights("seed=1")
    torch.rand(7)  # what a program drew before does not matter
    again, other = weights("seed=1"), weights("seed=2")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.fc.weight"], other["head.fc.weight"])
    assert not torch.equal(first["backbone.model.layer1.0.conv1.weight"], other["backbone.model.layer1.0.conv1.weight"])


def test_the_data_s_image_size_is_the_network_s_unless_the_backbone_sets_one():
    settings = plainly(ftlab.compose([*SMALL, "backbone.image_size=64"]), resolve=True)
    assert assemble(settings).model.backbone.preprocessing.size == (64, 64)
    settings = plainly(ftlab.compose(SMALL), resolve=True)
    parts = assemble(settings)
    assert parts.model.backbone.preprocessing.size == parts.preprocessing.size == (32, 32)
