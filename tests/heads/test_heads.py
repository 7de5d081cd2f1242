import pytest
import torch
from torch import Tensor

from ftlab.backbones.base import Features
from ftlab.backbones.pooling import pool
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.cosine import Cosine
from ftlab.heads.linear import Linear
from ftlab.heads.mlp import Mlp

BATCH = Batch(targets=torch.zeros(2, dtype=torch.int64), index=torch.arange(2))
MAPS = torch.arange(24.0).reshape(2, 3, 2, 2)
TOKENS = torch.arange(24.0).reshape(2, 4, 3)


def vector_of(values: Tensor) -> Features:
    return Features(vector=values)


@pytest.mark.parametrize(
    ("how", "first"),
    [
        ("auto", [1.5, 5.5, 9.5]),
        ("average", [1.5, 5.5, 9.5]),
        ("max", [3, 7, 11]),
        ("average_max", [2.25, 6.25, 10.25]),
    ],
)
def test_maps_are_pooled_over_their_positions(how: str, first: list[float]) -> None:
    assert pool(Features(maps=MAPS), how)[0].tolist() == first


@pytest.mark.parametrize(
    ("how", "first"), [("auto", [0, 1, 2]), ("token", [0, 1, 2]), ("average", [6, 7, 8]), ("max", [9, 10, 11])]
)
def test_the_class_token_is_pooled_alone_or_not_at_all(how: str, first: list[float]) -> None:
    assert pool(Features(tokens=TOKENS, prefix_tokens=1), how, own="token")[0].tolist() == first


def test_the_neck_comes_after_pooling() -> None:
    features = Features(maps=MAPS, neck=lambda vector: -vector)
    assert pool(features, "max")[0].tolist() == [-3, -7, -11]


def test_a_vector_is_not_pooled_and_refuses_a_choice_of_pooling() -> None:
    assert torch.equal(pool(vector_of(MAPS[:, :, 0, 0]), "auto"), MAPS[:, :, 0, 0])
    with pytest.raises(UserError, match=r"head\.pool=max"):
        pool(vector_of(MAPS[:, :, 0, 0]), "max")


def test_a_class_token_that_is_not_there_is_an_error() -> None:
    for features in (Features(maps=MAPS), Features(tokens=TOKENS)):
        with pytest.raises(UserError, match="no class token"):
            pool(features, "token")


@pytest.mark.parametrize("head", [Linear, Mlp, Cosine])
def test_an_unknown_pooling_is_answered_with_the_nearest(head: type) -> None:
    with pytest.raises(UserError, match=r"head\.pool=averge.*'average'"):
        head(3, 2, "average", pool="averge")


def test_linear_is_the_pooled_vector_times_its_weights() -> None:
    head = Linear(3, 2, "average")
    expected = MAPS.mean((2, 3)) @ head.fc.weight.T + head.fc.bias
    torch.testing.assert_close(head(Features(maps=MAPS), BATCH), expected)
    assert [stage.name for stage in head.stages] == ["fc"]
    assert head.weight_decay is None


def test_mlp_has_the_layers_activations_and_dropouts_that_were_asked_for() -> None:
    head = Mlp(3, 2, "average", hidden=[5, 4], activation="tanh", dropout=[0.1, 0.4], weight_decay=0.3).eval()
    assert [stage.name for stage in head.stages] == ["hidden1", "hidden2", "fc"]
    assert [layer[2].p for layer in (head.hidden1, head.hidden2)] == [0.1, 0.4]
    assert head.weight_decay == 0.3
    vector = torch.randn(2, 3)
    first = torch.tanh(vector @ head.hidden1[0].weight.T + head.hidden1[0].bias)
    second = torch.tanh(first @ head.hidden2[0].weight.T + head.hidden2[0].bias)
    expected = second @ head.fc.weight.T + head.fc.bias
    torch.testing.assert_close(head(vector_of(vector), BATCH), expected)


def test_one_dropout_serves_all_layers_of_an_mlp() -> None:
    head = Mlp(3, 2, "average", hidden=[5, 4], dropout=[0.2])
    assert [layer[2].p for layer in (head.hidden1, head.hidden2)] == [0.2, 0.2]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"hidden": []}, "head.hidden"),
        ({"hidden": [0]}, "head.hidden"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"dropout": [0.1, 0.2, 0.3]}, "head.dropout"),
        ({"dropout": 1.0}, "head.dropout"),
        ({"weight_decay": -1.0}, "head.weight_decay"),
    ],
)
def test_a_wrong_setting_of_an_mlp_is_named(settings: dict, named: str) -> None:
    with pytest.raises(UserError) as caught:
        Mlp(3, 2, "average", **settings)
    assert named in str(caught.value)


def test_cosine_ignores_lengths_and_is_bounded_by_its_scale() -> None:
    head = Cosine(3, 4, "average", scale=7.0)
    vector = torch.randn(2, 3)
    outputs = head(vector_of(vector), BATCH)
    weight = head.fc.weight
    expected = 7 * (vector @ weight.T) / (vector.norm(dim=1)[:, None] * weight.norm(dim=1)[None, :])
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(head(vector_of(100 * vector), BATCH), outputs)
    outputs.sum().backward()
    assert head.fc.scale.grad is not None
    with pytest.raises(UserError, match=r"head\.scale"):
        Cosine(3, 4, "average", scale=0.0)


@pytest.mark.parametrize("head", [Linear, Cosine])
def test_dropout_acts_in_train_mode_only(head: type) -> None:
    torch.manual_seed(0)
    dropping = head(64, 2, "average", dropout=0.5)
    features = vector_of(torch.ones(2, 64))
    assert not torch.equal(dropping.train()(features, BATCH), dropping(features, BATCH))
    assert torch.equal(dropping.eval()(features, BATCH), dropping(features, BATCH))


def test_a_head_that_pools_goes_on_from_what_is_pooled_already() -> None:
    torch.manual_seed(0)
    head, maps = Linear(5, 3, "average"), Features(maps=torch.randn(2, 5, 4, 4))
    assert torch.equal(head(Features(pooled=head.pooled(maps)), BATCH), head(maps, BATCH))
