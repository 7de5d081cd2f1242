"""The network for rows of a table."""

import pytest
import torch
from torch import nn

from ftlab.backbones.table import TableBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError


def backbone(numbers: int = 5, categories: tuple[int, ...] = (4, 30), **settings: object) -> TableBackbone:
    torch.manual_seed(0)
    return TableBackbone(numbers, categories, **{"width": 8, "depth": 3, "embedding": 6, **settings})  # type: ignore[arg-type]


def batch_of(count: int = 7, numbers: int = 5, categories: tuple[int, ...] = (4, 30)) -> Batch:
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(ids, (count, 1), generator=generator) for ids in categories]
    vectors = torch.randn(count, numbers, generator=generator)
    categories = torch.cat(ids, dim=1) if ids else torch.zeros(count, 0, dtype=torch.long)
    return Batch(torch.zeros(count), torch.arange(count), {"vectors": vectors, "categories": categories})


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_stages_hold_every_parameter_once_input_first(depth: int, norm: str) -> None:
    net = backbone(depth=depth, norm=norm)
    assert [stage.name for stage in net.stages] == ["embedding", *(f"hidden{n}" for n in range(1, depth + 1))]
    listed = [name for stage in net.stages for name in stage.parameters]
    assert sorted(listed) == sorted(name for name, _ in net.named_parameters())


@pytest.mark.parametrize(("numbers", "categories"), [(5, (4, 30)), (0, (4,)), (3, ())])
def test_features_are_the_inputs_beside_the_hidden_layer(numbers: int, categories: tuple[int, ...]) -> None:
    net, batch = backbone(numbers, categories), batch_of(7, numbers, categories)
    vector = net(batch).vector
    assert vector is not None
    assert vector.shape == (7, net.num_features)
    assert torch.equal(vector[:, :numbers], batch.inputs["vectors"])  # a linear model of the inputs is within reach
    tables = net.model.embedding["tables"]
    codes = [table.weight[batch.inputs["categories"][:, i]] for i, table in enumerate(tables)]
    assert torch.equal(vector[:, numbers:-8], torch.cat([batch.inputs["vectors"][:, :0], *codes], dim=1))
    assert vector[:, -8:].std() < 0.5 * vector[:, :-8].std()


def test_codes_of_categories_are_at_right_angles_and_that_of_unknown_ones_is_zero() -> None:
    (table,) = backbone(0, (5,)).model.embedding["tables"]
    assert not table.weight[0].any()
    products = table.weight[1:] @ table.weight[1:].T
    torch.testing.assert_close(products, torch.eye(4) * products[0, 0], atol=1e-5, rtol=0)


def test_dropout_acts_in_training_only() -> None:
    net, batch = backbone(dropout=0.5), batch_of()
    assert not torch.equal(net.train()(batch).vector, net(batch).vector)
    assert torch.equal(net.eval()(batch).vector, net(batch).vector)


@pytest.mark.parametrize("last", [1, 2])
def test_the_cut_at_the_freeze_border_gives_the_same_features_and_gradients(last: int) -> None:
    net, batch = backbone().eval(), batch_of()
    trainable = {name for stage in net.stages[-last:] for name in stage.parameters}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in trainable)
    net(batch).vector.square().sum().backward()
    whole = {name: parameter.grad.clone() for name, parameter in net.named_parameters() if parameter.grad is not None}
    net.zero_grad(set_to_none=True)
    prefix, suffix = (part.eval() for part in net.cut(trainable))
    values = prefix(batch.inputs["vectors"], batch.inputs["categories"])
    assert not any(value.requires_grad for value in values)
    suffix(*values).vector.square().sum().backward()
    assert set(whole) == trainable
    for name, parameter in net.named_parameters():
        if name in trainable:
            torch.testing.assert_close(parameter.grad, whole[name])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"width": 0}, "backbone.width=0"),
        ({"width": 10**9}, "backbone.width=1000000000: accepted is 1 to 8192"),
        ({"depth": -1}, "backbone.depth=-1"),
        ({"embedding": 0}, "backbone.embedding=0"),
        ({"norm": "batch"}, "backbone.norm=batch is unknown; accepted: layer, none"),
        ({"pretrained": True}, "backbone.pretrained=true: no weights come along for backbone=table"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        backbone(**settings)


def test_a_batch_without_rows_is_refused() -> None:
    images = Batch(targets=torch.zeros(2), index=torch.arange(2), inputs={"images": torch.zeros(2, 3, 4, 4)})
    with pytest.raises(UserError, match="takes rows of a table"):
        backbone()(images)


def test_weights_of_another_shape_are_refused_and_the_same_are_loaded(tmp_path) -> None:
    first = backbone()
    nn.init.normal_(first.model.embedding["input"].weight)
    torch.save(first.model.state_dict(), tmp_path / "first.pt")
    again = backbone(weights=str(tmp_path / "first.pt"))
    assert torch.equal(again.model.embedding["input"].weight, first.model.embedding["input"].weight)
    with pytest.raises(UserError, match="does not fit the network"):
        backbone(width=16, weights=str(tmp_path / "first.pt"))
