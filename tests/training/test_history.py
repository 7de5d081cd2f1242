"""What is read from the records of finished epochs."""

import math

import pytest
import torch

from ftlab.strategies.base import Phase
from ftlab.tasks.monitor import Monitor
from ftlab.training.phases.history import best_epoch, in_effect, judged, losses, phase_records, unmeasured
from ftlab.training.phases.noise import Noise


def record(epoch: int, phase: str, loss: float | None, peak: int | None = None) -> dict:
    val = {} if loss is None else {"loss": loss, "accuracy": 1 - loss}
    return {
        "epoch": epoch, "phase": phase, "seconds": 2.0, "steps": 4, "step_seconds": 1.0, "peak_memory_bytes": peak,
        "train": {"loss": 1.0}, "val": val,
    }  # fmt: skip


def test_the_monitored_value_is_lower_for_better_whatever_it_is() -> None:
    history = [record(0, "p", 0.5), record(1, "p", 0.25)]
    assert losses(history, "loss", 1.0) == [0.5, 0.25]
    assert losses(history, "accuracy", -1.0) == [-0.5, -0.75]


def test_a_value_that_is_missing_or_not_a_number_is_none() -> None:
    assert losses([record(0, "p", None), record(1, "p", math.nan), record(2, "p", 0.5)], "loss", 1.0) == [
        None,
        None,
        0.5,
    ]


@pytest.mark.parametrize(
    ("values", "first", "expected"),
    [
        ([0.3, 0.1, 0.2], 0, 1),
        ([0.3, 0.1, 0.2], 2, 2),
        ([0.2, 0.1, 0.1], 0, 2),  # the latest of equals
        ([None, 0.4, None], 0, 1),
        ([None, None], 0, None),
        ([], 0, None),
    ],
)
def test_the_best_epoch_is_the_latest_with_the_lowest_value(
    values: list[float | None], first: int, expected: int | None
) -> None:
    assert best_epoch(values, first) == expected


def test_epochs_whose_monitored_value_is_undefined_are_counted_and_told() -> None:
    history = [record(0, "p", None), record(1, "p", math.nan), record(2, "p", 0.5), record(3, "p", 0.4)]
    (told,) = unmeasured(history, losses(history, "loss", 1.0), "loss")
    assert told == (  # epoch 0 was not validated
        "monitor=loss is undefined in 1 of 4 epochs, which count as no progress; "
        "the best weights of the others are kept"
    )
    (told,) = unmeasured(history, losses(history, "f1", 1.0), "f1")
    assert told.startswith("monitor=f1 is undefined in 3 of 4 epochs")
    assert told.endswith("the last weights are kept")
    assert unmeasured(history[2:], losses(history[2:], "loss", 1.0), "loss") == []
    assert unmeasured(history[:1], [None], "loss") == []


def test_phase_records_tell_what_each_phase_really_took() -> None:
    phases = [
        Phase("head", 3, {"head/fc": 1.0}, patience=1),
        Phase("all", 2, {"b": 1.0, "head/fc": 1.0}),
        Phase("more", 2, {"b": 1.0}),
    ]
    values = [0.5, 0.6, 0.4, 0.3, 0.2]  # a plateau, two planned epochs, and one of two
    history = [
        record(epoch, name, value, peak)
        for epoch, (name, value, peak) in enumerate(
            zip(["head", "head", "all", "all", "more"], values, [10, 30, None, 20, None], strict=True)
        )
    ]
    head, whole, more = phase_records(phases, history, values, {"b": 90, "head/fc": 10}, {})
    assert head == {
        "name": "head", "first_epoch": 0, "last_epoch": 1, "trainable_stages": ["head/fc"],
        "trainable_parameters": 10, "total_parameters": 100, "seconds": 4.0, "seconds_per_step": 0.25,
        "peak_memory_bytes": 30, "ended_by": "plateau",
        "cache": None,
    }  # fmt: skip
    assert (whole["first_epoch"], whole["last_epoch"], whole["ended_by"]) == (2, 3, "epochs")
    assert (whole["trainable_parameters"], whole["peak_memory_bytes"]) == (100, 20)
    assert (more["first_epoch"], more["last_epoch"], more["ended_by"]) == (4, 4, "interrupted")
    assert more["peak_memory_bytes"] is None


def test_a_phase_that_was_not_begun_has_no_record() -> None:
    phases = [Phase("head", 1, {"head/fc": 1.0}), Phase("all", 1, {"head/fc": 1.0})]
    assert [r["name"] for r in phase_records(phases, [record(0, "head", 1.0)], [1.0], {"head/fc": 1}, {})] == ["head"]
    assert phase_records(phases, [], [], {"head/fc": 1}, {}) == []


def test_what_the_cache_took_before_a_phase_is_part_of_the_phase() -> None:
    phases, told = [Phase("head", 2, {"head/fc": 1.0})], {"seconds": 3.0, "peak_memory_bytes": 10**12}
    history, sizes = [record(0, "head", 1.0)], {"head/fc": 1}
    (without,) = phase_records(phases, history, [1.0], sizes, {})
    (found,) = phase_records(phases, history, [1.0], sizes, {"head": told})
    assert found["seconds"] == without["seconds"] + 3.0
    assert found["peak_memory_bytes"] == 10**12
    assert found["cache"] == told
    assert without["cache"] is None


AUTO = Monitor("accuracy", -1.0, auto=True)


def with_noise(accuracies: list[float | None], noise: float) -> list[dict]:
    return [record(e, "p", None if a is None else 1 - a) | {"noise": noise} for e, a in enumerate(accuracies)]


def test_an_epoch_that_chance_puts_behind_the_best_counts_as_equal_and_one_that_is_better_as_it_is() -> None:
    history = with_noise([0.5, 0.75, 0.625, 0.71875, 0.8125, 0.75], 0.0625)
    assert judged(history, AUTO) == [-0.5, -0.75, -0.625, -0.75, -0.8125, -0.8125]
    assert best_epoch(judged(history, AUTO)) == 5
    assert best_epoch(judged(history, Monitor("accuracy", -1.0))) == 4  # typed: the figure alone decides


def test_what_is_equal_never_drifts_away_from_the_best() -> None:
    history = with_noise([0.75, 0.71875, 0.6875, 0.65625], 0.03125)
    assert best_epoch(judged(history, AUTO)) == 1


def test_an_objective_that_no_epoch_defines_gives_way_to_the_loss_and_a_typed_one_does_not() -> None:
    history = [{**record(e, "p", loss), "val": {"loss": loss, "accuracy": None}} for e, loss in enumerate((0.2, 0.3))]
    assert in_effect(history, AUTO).name == "loss"
    assert judged(history, AUTO) == [0.2, 0.3]
    assert judged(history, Monitor("accuracy", -1.0)) == [None, None]


def test_noise_is_the_standard_error_of_the_paired_difference_to_the_best_epoch_before() -> None:
    noise, first = Noise(), torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert noise.of(first) == {}
    assert noise.of(torch.tensor([1.0, 0.0, 0.0, 0.0])) == {"noise": pytest.approx(0.5 / 2)}  # one of four differs
    assert noise.best is first
    better = torch.tensor([1.0, 1.0, 1.0, 0.0])
    noise.of(better)
    assert noise.best is better


def test_one_sample_less_is_chance_though_figures_are_rounded_to_32_bits() -> None:
    right = torch.ones(269)
    one_wrong = right.clone()
    one_wrong[7] = 0
    noise = Noise()
    noise.of(right)
    later = {**record(1, "p", 1 - float(one_wrong.mean())), **noise.of(one_wrong)}
    assert best_epoch(judged([record(0, "p", 0.0), later], AUTO)) == 1
