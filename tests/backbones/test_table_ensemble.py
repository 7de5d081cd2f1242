"""The ensemble for rows of a table."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ftlab.backbones.table_ensemble import TableEnsemble
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.linear import Linear


def ensemble(numbers: int = 5, categories: tuple[int, ...] = (4, 30), **settings: object) -> TableEnsemble:
    torch.manual_seed(0)
    small = {"width": 8, "depth": 3, "members": 4, "pieces": 3, "embedding": 2, "dropout": 0.0}
    return TableEnsemble(numbers, categories, **{**small, **settings})  # type: ignore[arg-type]


def batch_of(count: int = 7, numbers: int = 5, categories: tuple[int, ...] = (4, 30)) -> Batch:
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(ids, (count, 1), generator=generator) for ids in categories]
    fields = {
        "vectors": torch.randn(count, numbers, generator=generator),
        "ranks": torch.rand(count, numbers, generator=generator),
        "categories": torch.cat(ids, dim=1) if ids else torch.zeros(count, 0, dtype=torch.long),
    }
    return Batch(torch.zeros(count), torch.arange(count), fields)


@pytest.mark.parametrize("depth", [1, 3])
def test_stages_hold_every_parameter_once_input_first(depth: int) -> None:
    net = ensemble(depth=depth)
    assert [stage.name for stage in net.stages] == ["embedding", *(f"hidden{n}" for n in range(1, depth + 1))]
    listed = [name for stage in net.stages for name in stage.parameters]
    assert sorted(listed) == sorted(name for name, _ in net.named_parameters())


@pytest.mark.parametrize(("numbers", "categories"), [(5, (4, 30)), (0, (4,)), (3, ())])
def test_features_are_the_inputs_beside_the_mean_of_the_members(numbers: int, categories: tuple[int, ...]) -> None:
    net, batch = ensemble(numbers, categories), batch_of(7, numbers, categories)
    features = net(batch)
    assert features.vector.shape == (7, net.num_features)
    assert features.members.shape == (7, 4, net.num_features)
    assert torch.equal(features.vector[:, :numbers], batch.inputs["vectors"])  # a linear model is within reach
    torch.testing.assert_close(features.members.mean(1), features.vector)
    assert net.num_features - net.chance == net.model.inputs
    inputs = features.members[:, :, : net.model.inputs]
    assert torch.equal(inputs, inputs[:, :1].expand_as(inputs))
    hidden = features.members[:, :, net.model.inputs :]
    assert all((hidden[:, i] - hidden[:, j]).abs().max() > 1e-3 for i in range(4) for j in range(i))


def by_hand(net: TableEnsemble, batch: Batch, member: int) -> Tensor:
    """The last hidden layer of one member, which has a full weight of its own: the shared one between its factors."""
    state = net.model.state_dict()
    numbers, ranks, ids = batch.inputs["vectors"], batch.inputs["ranks"], batch.inputs["categories"]
    parts = []
    for column in range(numbers.shape[1]):
        one = numbers[:, [column]] * state["embedding.numbers.slope"][column] + state["embedding.numbers.shift"][column]
        bends = state["embedding.numbers.bends"][column]
        for piece, bend in enumerate(bends):
            filled = (ranks[:, column] * len(bends) - piece).clamp(0, 1)
            one = one + filled[:, None] * bend
        parts.append(one)
    parts += [state[f"embedding.tables.{i}.weight"][ids[:, i]] for i in range(ids.shape[1])]
    values = torch.cat(parts, dim=1)
    for number in range(1, net.model.depth + 1):
        layer = {name: state[f"hidden{number}.{name}"] for name in ("weight", "into", "out", "bias")}
        weight = layer["out"][member][:, None] * layer["weight"] * layer["into"][member]
        values = functional.relu(values @ weight.T + layer["bias"][member])
    return values


def test_a_member_is_the_network_that_its_factors_make_of_the_shared_weights() -> None:
    net, batch = ensemble(), batch_of()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    members = net(batch).members
    for member in range(4):
        torch.testing.assert_close(members[:, member, net.model.inputs :], by_hand(net, batch, member))


def test_a_linear_head_trains_each_member_and_predicts_the_mean_of_their_outputs() -> None:
    net, batch = ensemble(), batch_of()
    head = Linear(net.num_features, 2, "average")
    features = net(batch)
    each = head(features, batch)
    assert each.shape == (7 * 4, 2)  # the rows of a sample beside each other
    with torch.no_grad():
        mean = head(net(batch), batch)
    torch.testing.assert_close(mean, each.unflatten(0, (7, 4)).mean(1))
    for parameter in net.parameters():
        parameter.requires_grad_(False)  # a head that trains alone learns from what a cache keeps: the mean
    torch.testing.assert_close(head(net(batch), batch), mean)


@pytest.mark.parametrize("last", [1, 2])
def test_the_cut_at_the_freeze_border_gives_the_same_features_and_gradients(last: int) -> None:
    net, batch = ensemble().eval(), batch_of()
    trainable = {name for stage in net.stages[-last:] for name in stage.parameters}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in trainable)
    net(batch).members.square().sum().backward()
    whole = {name: parameter.grad.clone() for name, parameter in net.named_parameters() if parameter.grad is not None}
    net.zero_grad(set_to_none=True)
    prefix, suffix = (part.eval() for part in net.cut(trainable))
    values = prefix(*net.inputs(batch))
    assert not any(value.requires_grad for value in values)
    suffix(*values).members.square().sum().backward()
    assert set(whole) == trainable
    for name, parameter in net.named_parameters():
        if name in trainable:
            torch.testing.assert_close(parameter.grad, whole[name])


def test_dropout_acts_in_training_only() -> None:
    net, batch = ensemble(dropout=0.5), batch_of()
    assert not torch.equal(net.train()(batch).vector, net(batch).vector)
    assert torch.equal(net.eval()(batch).vector, net(batch).vector)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"width": 0}, "backbone.width=0"),
        ({"width": 10**9}, "backbone.width=1000000000: accepted is 1 to 8192"),
        ({"depth": 0}, "backbone.depth=0: accepted is 1 to 64"),
        ({"members": 1000}, "backbone.members=1000: accepted is 1 to 256"),
        ({"pretrained": True}, "backbone.pretrained=true: no weights come along for backbone=table;"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        ensemble(**settings)


def test_weights_of_another_shape_are_refused_and_the_same_are_loaded(tmp_path) -> None:
    first = ensemble()
    nn.init.normal_(first.model.hidden1.weight)
    torch.save(first.model.state_dict(), tmp_path / "first.pt")
    again = ensemble(weights=str(tmp_path / "first.pt"))
    assert torch.equal(again.model.hidden1.weight, first.model.hidden1.weight)
    with pytest.raises(UserError, match="does not fit the network"):
        ensemble(width=16, weights=str(tmp_path / "first.pt"))
