"""The transformer of sequences: padding changes nothing, stages hold all, the cut is the whole network."""

import pytest
import torch

from ftlab.backbones.pooling import POOLINGS, pool
from ftlab.backbones.sequence import SequenceBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError


def backbone(tokens: int = 9, channels: int = 2, **settings: object) -> SequenceBackbone:
    torch.manual_seed(0)
    return SequenceBackbone(tokens, channels, max_length=12, width=16, depth=3, heads=2, **settings)  # type: ignore[arg-type]


def batch_of(*lengths: int, longest: int, seed: int = 0) -> Batch:
    """Random steps; those of padding hold large values, which nothing may see."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]
    tokens = torch.randint(0, 9, (len(lengths), longest), generator=generator)
    series = torch.randn(len(lengths), longest, 2, generator=generator)
    series = torch.where(mask[:, :, None], series, 1e4)
    inputs = {"tokens": tokens, "series": series, "mask": mask}
    return Batch(torch.zeros(len(lengths)), torch.arange(len(lengths)), inputs)


def alone(batch: Batch, place: int, length: int) -> Batch:
    one = slice(place, place + 1)
    inputs = {name: values[one, :length] for name, values in batch.inputs.items()}
    return Batch(batch.targets[one], batch.index[one], inputs)


@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize("how", ["average", "max", "average_max"])
def test_padding_does_not_change_the_outputs(how: str, with_gradient: bool) -> None:
    network, lengths = backbone().eval(), (3, 10, 1)
    batch = batch_of(*lengths, longest=10)
    with torch.set_grad_enabled(with_gradient):  # without, torch takes another path through its own layers
        together = pool(network(batch), how)
        for place, length in enumerate(lengths):
            single = pool(network(alone(batch, place, length)), how)
            torch.testing.assert_close(together[place : place + 1], single, atol=1e-6, rtol=1e-6)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_the_place_of_a_step_matters() -> None:
    network = backbone().eval()
    batch = batch_of(4, longest=4)
    inputs = {name: values if name == "mask" else values.flip(1) for name, values in batch.inputs.items()}
    turned = Batch(batch.targets, batch.index, inputs)
    assert (pool(network(batch), "average") - pool(network(turned), "average")).abs().max() > 1e-3


def test_flattening_what_is_padded_is_refused() -> None:
    assert "flatten" in POOLINGS
    with pytest.raises(UserError, match=r"head.pool=flatten: the inputs are not of one length"):
        pool(backbone()(batch_of(2, 3, longest=3)), "flatten")
    with pytest.raises(UserError, match=r"head.pool=token"):
        pool(backbone()(batch_of(2, 3, longest=3)), "token")


def test_stages_are_the_embedding_and_each_layer_and_hold_every_parameter_once() -> None:
    network = backbone()
    assert [stage.name for stage in network.stages] == ["embedding", "layer1", "layer2", "layer3"]
    names = [name for stage in network.stages for name in stage.parameters]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert "model.norm.weight" in network.stages[-1].parameters


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_the_cut_is_the_whole_network_and_its_gradients(count: int) -> None:
    network = backbone(dropout=0.0).eval()
    trainable = {name for stage in network.stages[len(network.stages) - count :] for name in stage.parameters}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trainable)
    batch = batch_of(5, 2, longest=5)
    whole = pool(network(batch), "average")
    prefix, suffix = network.cut(trainable)
    values = prefix.eval()(*(batch.inputs[name] for name in ("tokens", "series", "mask")))
    parted = pool(suffix.eval()(*values), "average")
    torch.testing.assert_close(parted, whole, atol=1e-6, rtol=1e-6)
    assert not any(value.requires_grad for value in values)
    if count:
        gradients = [torch.autograd.grad(out.square().sum(), [p for p in network.parameters() if p.requires_grad])
                     for out in (whole, parted)]  # fmt: skip
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_tokens_alone_and_numbers_alone_are_enough() -> None:
    for tokens, channels in ((9, 0), (0, 2)):
        network = backbone(tokens, channels).eval()
        batch = batch_of(3, 2, longest=3)
        batch.inputs["series"] = batch.inputs["series"][:, :, :channels]
        assert network(batch).tokens.shape == (2, 3, 16)
        absent = "tokens" if not tokens else "series"
        assert absent not in network.model.embedding


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 10, "heads": 4}, "backbone.heads=4: must divide backbone.width=10"),
        ({"depth": 0}, "backbone.depth=0: accepted is 1 to 64"),
        ({"width": 10**6}, "backbone.width=1000000"),
        ({"max_length": 10**9}, "data.max_length=1000000000"),
        ({"pretrained": True}, "no weights come along for backbone=sequence"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SequenceBackbone(**{"tokens": 5, "channels": 0, "max_length": 8, **settings})


def test_a_batch_of_images_is_refused() -> None:
    with pytest.raises(UserError, match="takes sequences"):
        backbone()(Batch(torch.zeros(1), torch.zeros(1), {"images": torch.zeros(1, 3, 8, 8)}))


def windows(levels: tuple[int, ...] | None, length: int = 10) -> SequenceBackbone:
    torch.manual_seed(0)
    return SequenceBackbone(0, 2, max_length=length, length=length, levels=levels, width=16, depth=2, heads=2).eval()


def of_one_length(length: int = 10, shift: float = 0.0) -> Batch:
    series = torch.randn(3, length, 2, generator=torch.Generator().manual_seed(1)) + shift
    inputs = {
        "tokens": torch.ones(3, length, dtype=torch.int64),
        "series": series,
        "mask": torch.ones(3, length).bool(),
    }
    return Batch(torch.zeros(3), torch.arange(3), inputs)


def test_all_steps_of_one_length_are_among_the_features() -> None:
    network, batch = windows(None), of_one_length()
    vector = network(batch).vector
    assert vector.shape == (3, 10 * 2 + 16) == (3, network.num_features)
    assert torch.equal(vector[:, :20], batch.inputs["series"].flatten(1))
    assert network.passes_inputs
    assert network.chance == 16  # the others hang on random weights


def test_relative_to_the_last_step_only_chosen_levels_are_seen() -> None:
    network, batch, higher = windows(levels=(1,)), of_one_length(), of_one_length(shift=5.0)
    series = batch.inputs["series"]
    vector, shifted = network(batch).vector, network(higher).vector
    expected = torch.cat([(series - series[:, -1:])[:, :9].flatten(1), series[:, -1, 1:]], dim=1)
    torch.testing.assert_close(vector[:, :19], expected)
    level = torch.zeros(vector.shape[1])
    level[18] = 5.0
    torch.testing.assert_close(shifted - vector, level.expand(3, -1), atol=1e-4, rtol=0)


def test_long_windows_are_patches_and_each_step_matters() -> None:
    network, batch = (
        windows(None, length=37),
        of_one_length(37),
    )  # thirteen patches of three steps, two of them filled up
    assert network.model.embedding["places"].weight.shape == (13, 16)
    series = batch.inputs["series"].requires_grad_()
    network(batch).vector[:, -16:].square().sum().backward()
    assert (series.grad.abs().sum((0, 2)) > 0).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_cut_of_whole_windows_is_the_whole_network(count: int) -> None:
    network, batch = windows(levels=(0,)), of_one_length()
    assert [stage.name for stage in network.stages] == ["embedding", "layer1", "layer2"]
    trainable = {name for stage in network.stages[3 - count :] for name in stage.parameters}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trainable)
    prefix, suffix = network.cut(trainable)
    parted = suffix.eval()(*prefix.eval()(batch.inputs["series"], batch.inputs["mask"])).vector
    torch.testing.assert_close(parted, network(batch).vector, atol=1e-6, rtol=1e-6)


def test_a_shorter_sequence_has_its_first_step_before_it_and_a_longer_one_loses_its_start() -> None:
    network, batch = windows(None), of_one_length()
    series = batch.inputs["series"]
    short = alone(batch, 0, 4)
    filled = torch.cat([series[:1, :1].expand(-1, 6, -1), series[:1, :4]], dim=1)
    torch.testing.assert_close(network(short).vector[:, :20], filled.flatten(1))
    fill = {name: torch.full_like(values[:1, :3], 99) for name, values in batch.inputs.items()}
    padded = {name: torch.cat([values[:1, :4], fill[name]], 1) for name, values in batch.inputs.items()}
    padded["mask"] = torch.arange(7)[None] < 4
    torch.testing.assert_close(network(Batch(batch.targets[:1], batch.index[:1], padded)).vector, network(short).vector)
    longer = of_one_length(13)
    torch.testing.assert_close(network(longer).vector[:, :20], longer.inputs["series"][:, 3:].flatten(1))
