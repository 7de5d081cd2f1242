"""Whether a thaw was worth it, judged by the figures of val."""

import math
from typing import Any

import pytest
from torch.optim import SGD

from ftlab.optimizers import OptimizerSettings
from ftlab.run_settings import typed
from ftlab.strategies.base import Phase, spans
from ftlab.training.phases.thaws import Judge, Lost, lost, warnings, ways
from tests.training.tiny import parts_of

HEAD, TOP, ALL = {"head/fc": 1.0}, {"head/fc": 1.0, "b/top": 1.0}, {"head/fc": 1.0, "b/top": 1.0, "b/stem": 1.0}
PHASES = [Phase("head", 1, HEAD), Phase("top", 2, TOP), Phase("all", 2, ALL)]
SAMPLES = 10_000  # so many that only the tenth counts


def loss(*values: float | None, samples: int = SAMPLES) -> Judge:
    return Judge("loss", values, 1.0, samples)


def accuracy(*values: float | None, samples: int = SAMPLES) -> Judge:
    return Judge("accuracy", [None if value is None else -value for value in values], -1.0, samples, (0.0, 1.0))


def found(*judges: Judge, phases: list[Phase] = PHASES) -> list[Lost]:
    begun = [span for span in spans(phases, judges[0].losses) if span.epochs]
    return lost(judges, phases, begun)


def test_a_thaw_that_never_comes_back_to_the_phase_before_it_is_lost() -> None:
    assert found(loss(0.5, 2.0, 0.9, 0.8, 0.7)) == [Lost(phase=1, before=0, first=1, since=4)]


def test_one_that_comes_back_later_even_in_another_phase_is_not() -> None:
    assert found(loss(0.5, 2.0, 0.9, 0.8, 0.4)) == []


def test_each_thaw_is_held_against_the_phase_right_before_it() -> None:
    assert found(loss(0.5, 0.4, 0.3, 0.9, 0.8)) == [Lost(phase=2, before=2, first=3, since=4)]


def test_a_tenth_of_the_figure_is_noise() -> None:
    assert found(loss(0.5, 2.0, 0.9, 0.7, 0.5 * 1.09)) == []
    assert found(loss(0.5, 2.0, 0.9, 0.7, 0.5 * 1.11)) != []


def test_with_few_samples_more_is_noise() -> None:
    few = 100  # 2 / sqrt(100) is a fifth
    assert found(loss(0.5, 2.0, 0.9, 0.7, 0.5 * 1.19, samples=few)) == []
    assert found(loss(0.5, 2.0, 0.9, 0.7, 0.5 * 1.21, samples=few)) != []


def test_an_accuracy_has_the_noise_of_two_shares() -> None:
    samples, before, since = 400, 0.9, 0.85
    noise = 2 * math.sqrt((before * 0.1 + since * 0.15) / samples)  # 0.0466
    assert accuracy(before, since, samples=samples).noise(0, 1) == pytest.approx(noise)
    assert found(accuracy(before, 0.2, 0.2, 0.2, since, samples=samples)) != []
    assert found(accuracy(before, 0.2, 0.2, 0.2, since, samples=samples // 2)) == []


def test_a_loss_that_grows_with_the_accuracy_is_no_thaw_that_failed() -> None:
    grown = loss(0.5, 1.0, 0.9, 0.8, 0.7)
    assert found(grown, accuracy(0.7, 0.8, 0.9, 0.95, 0.96)) == []
    assert found(grown, accuracy(0.7, 0.2, 0.3, 0.4, 0.5)) != []


def test_a_phase_that_thaws_nothing_is_not_judged() -> None:
    phases = [Phase("all", 1, ALL), Phase("head", 2, HEAD)]
    assert found(loss(0.5, 2.0, 0.9), phases=phases) == []


def test_what_was_not_measured_is_no_loss() -> None:
    assert found(loss(0.5, None, None, None, None)) == []
    assert found(loss(None, 2.0, 3.0, 2.0, 2.0)) == []
    assert found(loss(0.5, None, 0.9, 0.8, 0.7)) == [Lost(phase=1, before=0, first=2, since=4)]


def test_a_run_in_its_first_phase_has_nothing_to_say() -> None:
    assert warnings([loss(0.5)], PHASES, ["optimizer.lr=1"]) == []
    assert warnings([loss()], PHASES, []) == []
    assert warnings([loss(None, None)], PHASES, []) == []


def test_the_warning_names_figures_epochs_from_1_and_what_to_try() -> None:
    assert warnings([loss(0.5, 2.0, 0.9, 0.8, 0.75)], PHASES, ["strategy.rate=0.1", "rates=layer_decay", "x=1"]) == [
        "phase 2 (top) cost more than it brought: val loss was 0.5000 (epoch 1), then 2.0000 (epoch 2) and at best "
        "0.7500 (epoch 5) since; try strategy.rate=0.1, rates=layer_decay or x=1"
    ]
    (said,) = warnings([loss(0.5, 2.0)], PHASES, [])
    assert said.endswith("then 2.0000 (epoch 2) and nothing better since")


def test_a_first_phase_that_nothing_beat_is_told_though_all_is_within_noise() -> None:
    assert warnings([loss(0.5, 0.52, 0.51, 0.54, 0.53)], PHASES, ["a=1", "b=2"]) == [
        "no later phase beat the first (head): val loss was 0.5000 (epoch 1), later at best 0.5100 (epoch 3); "
        "try a=1 or b=2"
    ]
    assert warnings([loss(0.5, 0.52, 0.49, 0.52, 0.51)], PHASES, ["a=1"]) == []
    (said,) = warnings([loss(0.5, 0.54, 0.53, 0.52, 0.51)], PHASES, ["a=1"])
    assert said.endswith("(epoch 5); try more epochs (trainer.max_epochs) or a=1")  # the last was the best of these


def test_a_later_phase_that_cost_does_not_hide_that_the_first_was_the_best() -> None:
    cost, unbeaten = warnings([loss(0.5, 0.52, 0.51, 0.9, 0.9)], PHASES, [])
    assert cost.startswith("phase 3 (all) cost more than it brought: val loss was 0.5100 (epoch 3)")
    assert unbeaten.startswith("no later phase beat the first (head): val loss was 0.5000 (epoch 1)")


def test_it_names_the_figure_by_which_another_epoch_was_better() -> None:
    judges = [loss(0.5, 0.6, 0.7, 0.7, 0.7), accuracy(0.7, 0.8, 0.9, 0.95, 0.94)]
    (said,) = warnings(judges, PHASES, [])
    assert said.endswith(
        "; by accuracy epoch 4 was better (0.9500, and 0.7000 in epoch 1): monitor=accuracy keeps that one"
    )
    same = [judges[0], accuracy(0.7, 0.7001, 0.7, 0.7, 0.7)]
    assert "by accuracy" not in warnings(same, PHASES, [])[0]


def own(speed: float) -> OptimizerSettings:
    """An optimizer of one's own, whose key is no `lr`."""
    return OptimizerSettings(SGD, speed, 0.0, False, {})


def test_a_lower_rate_is_advised_by_the_key_that_says_it_and_not_where_none_does() -> None:
    mine: dict[str, Any] = {"trusted_modules": [__name__], "optimizer": {"_target_": f"{__name__}.own", "speed": 0.1}}
    slower = {
        ("strategy=lp_ft",): "strategy.rate=0.1 instead of auto",
        ("strategy=full",): "optimizer.lr=0.002 instead of 0.01",
    }
    for words, said in slower.items():
        assert parts_of(*words)[1].slower == said
    parts, settings, _ = parts_of("strategy=full", **mine)
    assert parts.optimizer.lr == 0.1
    assert ways(parts, settings.slower) == ["rates=layer_decay", "schedule.warmup=1", "augment=light"]
    assert typed({**settings.written.config, "strategy": {"_target_": "mine.rated.Rated", "rate": None}}).slower == ""
