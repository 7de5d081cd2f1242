from typing import Any

import pytest
import torch

import ftlab
from ftlab.assembly import assemble
from ftlab.config import options, plainly
from ftlab.data.digits import Digits
from ftlab.run import with_own

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


def test_what_an_option_sets_for_its_own_images_is_not_meant_for_data_from_python():
    data = Digits([0.7, 0.15, 0.15]).read(0)
    default = plainly(ftlab.compose(SMALL[:2]), resolve=True)
    assert default["data"]["image_size"] == 48
    assert with_own(default, data)["data"] == {**options("data")["own"]}
    chosen = plainly(ftlab.compose([*SMALL, "data.batch_size=7"]), resolve=True)
    assert with_own(chosen, data)["data"] == {**options("data")["own"], "image_size": 32, "batch_size": 7}
    assert with_own(default, None) == default


def test_data_from_python_cannot_be_named_on_the_command_line():
    settings = plainly(ftlab.compose([*SMALL, "data=own"]), resolve=True)
    with pytest.raises(ftlab.UserError, match="from_datasets"):
        assemble(settings)


@pytest.mark.parametrize(
    ("words", "fit"),
    [([], "convex"), (["head=mlp"], "gradient"), (["task.loss=focal"], "gradient"), (["head.dropout=0.5"], "convex")],
)
def test_the_head_is_fitted_in_closed_form_where_that_can_be(words: list[str], fit: str) -> None:
    settings = plainly(ftlab.compose([*SMALL, "strategy=lp_ft", *words]), resolve=True)
    assert settings["strategy"]["head_init"] == "auto"
    assert [phase.fit for phase in assemble(settings).phases] == [fit, "gradient"]  # random weights: all at once


@pytest.mark.parametrize(("words", "phases"), [([], 3), (["backbone.pretrained=false"], 2), (["strategy.groups=3"], 4)])
def test_a_network_with_random_weights_thaws_all_at_once(words: list[str], phases: int) -> None:
    settings = plainly(ftlab.compose(["strategy=lp_ft", "data.image_size=32", *words]), resolve=True)
    for describe_only in (True, False):
        assert len(assemble(settings, describe_only=describe_only).phases) == phases
