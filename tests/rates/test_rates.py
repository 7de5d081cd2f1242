"""The multiplier of each stage; every option of conf/rates is tested by being there."""

import pytest

from ftlab.config import instantiate, options
from ftlab.errors import UserError
from ftlab.rates.differential import Differential
from ftlab.rates.layer_decay import LayerDecay
from ftlab.rates.single import Single

STAGES = ["backbone/stem", "backbone/layer1", "backbone/layer2", "head/hidden1", "head/fc"]
OPTIONS = sorted(options("rates"))


def test_the_options_that_were_promised_are_there() -> None:
    assert {"single", "differential", "layer_decay"} <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_gives_each_stage_a_rate_of_at_most_the_heads(option: str) -> None:
    rates = instantiate(options("rates")[option]).of(STAGES)
    assert list(rates) == STAGES
    assert rates["head/fc"] == rates["head/hidden1"] == 1.0
    assert all(0 < rate <= 1 for rate in rates.values())


def test_single_is_one_rate_for_all() -> None:
    assert Single().of(STAGES) == dict.fromkeys(STAGES, 1.0)


def test_differential_takes_the_one_pattern_that_covers_a_stage() -> None:
    rates = Differential({"head": 2.0, "backbone/layer*": 0.5, "backbone/stem": 0.1}).of(STAGES)
    assert rates == dict(zip(STAGES, [0.1, 0.5, 0.5, 2.0, 2.0], strict=True))
    rates = Differential({"rest": 0.01, "head/fc": 1.0}).of(STAGES)
    assert rates == {**dict.fromkeys(STAGES, 0.01), "head/fc": 1.0}


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ({"head": 1.0, "head/fc": 0.5, "rest": 0.1}, ["'head/fc'", "two rules"]),
        ({"head": 1.0, "backbone/layer1": 0.5}, ["backbone/stem", "no rule"]),
        ({"head": 1.0, "backbone/layr1": 0.5, "rest": 0.1}, ["did you mean 'backbone/layer1'"]),
        ({"head": 0.0, "rest": 0.1}, ["'head'", "0.0", "above 0"]),
        ({"head": -1.0, "rest": 0.1}, ["'head'", "-1.0", "above 0"]),
        ({"head": float("nan"), "rest": 0.1}, ["'head'", "nan"]),
        ({"head": float("inf"), "rest": 0.1}, ["'head'", "inf"]),
    ],
)
def test_differential_refuses_what_is_not_exactly_one_rate_for_each_stage(
    patterns: dict[str, float], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        Differential(patterns).of(STAGES)
    assert all(word in str(caught.value) for word in ["rates.patterns", *words]), caught.value


def test_layer_decay_counts_from_the_output() -> None:
    rates = LayerDecay(0.5).of(STAGES)
    assert rates == dict(zip(STAGES, [0.125, 0.25, 0.5, 1.0, 1.0], strict=True))


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5, float("nan")])
def test_layer_decay_is_above_0_and_at_most_1(decay: float) -> None:
    assert set(LayerDecay(1.0).of(STAGES).values()) == {1.0}
    with pytest.raises(UserError, match=f"rates.decay={decay}"):
        LayerDecay(decay).of(STAGES)
