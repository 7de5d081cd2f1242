"""The recipe of ULMFiT as it is shipped: which block thaws when, at which rate, along which curve."""

import pytest

import ftlab
from ftlab.config import instantiate
from ftlab.training.phases.rates import RatePlan

STAGES = ["backbone/embeddings", *(f"backbone/encoder.layer.{n}" for n in range(6)), "head/fc"]
EACH = 20  # steps of an epoch


def test_one_more_block_thaws_in_each_epoch_at_a_rate_2_6_times_lower_and_all_go_along_slanted_triangles():
    config = ftlab.compose(["data=docstrings", "experiment=ulmfit"])
    phases = instantiate(config.strategy).phases(STAGES, 12)
    assert [phase.trainable for phase in phases] == [tuple(STAGES[-n:]) for n in range(1, 9)]
    assert [phase.epochs for phase in phases] == [1] * 7 + [5]
    rates = instantiate(config.rates).of(STAGES)
    plan = RatePlan(config.optimizer.lr, rates, instantiate(config.schedule), phases, EACH)
    for depth, stage in enumerate(reversed(STAGES)):
        assert plan.base(phases[-1])[stage] == pytest.approx(config.optimizer.lr / 2.6**depth, rel=1e-4)
    losses = (1.0,) * 3  # the fourth epoch: the third block from the end thaws in it
    now = plan.at(phases[3], plan.begin(losses), 10)
    for stage, epochs_before in ((STAGES[-4], 0), (STAGES[-3], 1), (STAGES[-1], 3)):
        steps, step = (12 - 3 + epochs_before) * EACH, epochs_before * EACH + 10
        cut = steps * 0.1
        p = step / cut if step < cut else 1 - (step - cut) / (cut * 9)
        assert now[stage] == pytest.approx(plan.base(phases[3])[stage] * (1 + p * 31) / 32)
    assert config.optimizer._target_ == "ftlab.optimizers.adam"
    assert config.optimizer.betas == [0.7, 0.99]
