from typing import Any

import pytest
import torch

import ftlab
from ftlab.assembly import assemble
from ftlab.config import options, plainly
from ftlab.data.sources.digits import Digits
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
    ("words", "fits"),
    [
        ([], ["convex", "gradient", "gradient"]),
        (["head.dropout=0.5"], ["convex", "gradient", "gradient"]),
        (["head=mlp"], ["gradient"] * 3),
        (["task.loss=focal"], ["gradient"] * 3),
        (["strategy.groups=3"], ["convex", *["gradient"] * 3]),
        (["backbone.until=stem"], ["convex", "gradient"]),  # a single stage is a single group
        (["backbone.pretrained=false"], ["gradient"] * 2),  # all at once, behind a head that chance made too
        (["backbone.pretrained=false", "strategy.head_init=closed_form"], ["convex", "gradient"]),
    ],
)
@pytest.mark.parametrize("describe_only", [True, False])
def test_how_the_default_begins_depends_on_head_loss_and_weights(
    words: list[str], fits: list[str], describe_only: bool
) -> None:
    settings = plainly(ftlab.compose(["data.image_size=32", *words]), resolve=True)
    assert [phase.fit for phase in assemble(settings, describe_only=describe_only).phases] == fits


def test_a_table_s_head_begins_in_closed_form_though_its_network_is_random() -> None:
    settings = plainly(ftlab.compose(["data=diabetes", "task=regression"]), resolve=True)
    assert [phase.fit for phase in assemble(settings).phases] == ["convex", "gradient"]
