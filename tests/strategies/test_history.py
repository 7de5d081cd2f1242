"""Where a run stands, as pure functions of hand-made histories."""

from dataclasses import replace

import pytest

from ftlab.errors import UserError
from ftlab.strategies.base import (
    Phase,
    Span,
    Thaw,
    current,
    is_over,
    prolonged_by,
    share,
    spans,
    thaw,
    with_early_stopping,
)
from ftlab.strategies.checks import check

STAGES = ("b/stem", "b/top", "head/fc")


def phase(name: str, epochs: int, *stages: str, **settings: object) -> Phase:
    return Phase(name, epochs, dict.fromkeys(stages, 1.0), **settings)  # type: ignore[arg-type]


HEAD = phase("head", 4, "head/fc", patience=2)
TOP = phase("top", 3, "b/top", "head/fc", patience=2)
ALL = phase("all", 3, *STAGES)
RUN = [HEAD, TOP, ALL]


def test_a_run_begins_in_its_first_phase() -> None:
    assert spans(RUN, []) == [Span(0, 0, 0, None)]
    assert current(RUN, []).phase == 0
    assert not is_over(RUN, [])


def test_phases_take_their_epochs_and_the_run_is_over_after_the_last() -> None:
    falling = [1 / (1 + epoch) for epoch in range(10)]
    assert spans(RUN, falling[:3]) == [Span(0, 0, 3, None)]
    assert spans(RUN, falling[:4]) == [Span(0, 0, 4, "epochs"), Span(1, 4, 0, None)]
    assert not is_over(RUN, falling[:9])
    assert spans(RUN, falling) == [Span(0, 0, 4, "epochs"), Span(1, 4, 3, "epochs"), Span(2, 7, 3, "epochs")]
    assert is_over(RUN, falling)


def test_a_plateau_ends_a_phase_and_its_unused_epochs_are_dropped() -> None:
    losses = [1.0, 1.0, 1.0]  # no gain in epochs 1 and 2
    assert spans(RUN, losses) == [Span(0, 0, 3, "plateau"), Span(1, 3, 0, None)]
    assert current(RUN, losses) == Span(1, 3, 0, None)
    falling = [0.9, 0.8, 0.7]
    assert current(RUN, losses + falling) == Span(2, 6, 0, None)
    assert is_over(RUN, losses + falling + falling)  # 9 epochs, not the planned 10


def test_patience_counts_from_the_phases_own_start() -> None:
    # Epoch 3 is the last of HEAD and has no gain; in TOP a first loss far above HEAD's best is a gain of its own.
    losses = [0.3, 0.2, 0.1, 0.15, 0.9, 0.8]
    assert spans(RUN, losses)[1] == Span(1, 4, 2, None)
    assert spans(RUN, [*losses, 0.85])[1] == Span(1, 4, 3, "epochs")


def test_a_gain_of_at_most_min_delta_is_none() -> None:
    patient = [phase("p", 10, "head/fc", patience=2, min_delta=0.1)]
    assert spans(patient, [1.0, 0.95, 0.91])[0].ended_by == "plateau"
    assert spans(patient, [1.0, 0.95, 0.89])[0].ended_by is None


def test_a_loss_that_was_not_measured_is_no_gain_and_spoils_none() -> None:
    assert spans(RUN, [None, None])[0].ended_by == "plateau"
    assert spans(RUN, [1.0, None, 0.9])[0].ended_by is None
    assert spans([ALL], [None, None, None])[0] == Span(0, 0, 3, "epochs")  # no patience: the epochs end it


def test_a_stage_trains_on_through_the_phases_that_name_it() -> None:
    losses = [1.0, 0.9, 0.8, 0.7, 0.6]
    assert thaw("b/top", RUN, losses[:2]) is None
    assert thaw("b/top", RUN, losses) == Thaw(4, 1, 3 + 3, (0.6,))
    assert thaw("head/fc", RUN, losses) == Thaw(0, 5, 10, tuple(losses))


def test_dropped_epochs_shorten_what_is_planned_for_a_stage() -> None:
    plateau = [1.0, 1.0, 1.0]
    assert thaw("head/fc", RUN, plateau) == Thaw(0, 3, 3 + 3 + 3, (1.0, 1.0, 1.0))
    assert thaw("b/top", RUN, plateau) == Thaw(3, 0, 6, ())


def test_a_stage_that_froze_and_thaws_again_starts_anew() -> None:
    again = [phase("both", 2, "b/top", "head/fc"), phase("head", 1, "head/fc"), phase("again", 4, "b/top", "head/fc")]
    falling = [1 / (1 + epoch) for epoch in range(7)]
    assert thaw("b/top", again, falling[:1]) == Thaw(0, 1, 2, (1.0,))
    assert thaw("b/top", again, falling[:2]) is None
    assert thaw("b/top", again, falling[:3]) == Thaw(3, 0, 4, ())
    assert thaw("b/top", again, falling[:5]) == Thaw(3, 2, 4, tuple(falling[3:5]))
    assert thaw("head/fc", again, falling[:5]) == Thaw(0, 5, 7, tuple(falling[:5]))


def test_early_stopping_of_the_run_is_the_patience_of_its_last_phase_alone() -> None:
    plain = [phase("head", 4, "head/fc"), phase("all", 5, *STAGES)]
    assert with_early_stopping(plain, None, 0.0) == plain
    stopping = with_early_stopping(plain, 2, 0.1)
    assert stopping[0] == plain[0]
    assert (stopping[1].patience, stopping[1].min_delta) == (2, 0.1)
    flat = [1.0] * 4
    assert spans(stopping, flat) == [Span(0, 0, 4, "epochs"), Span(1, 4, 0, None)]
    assert not is_over(stopping, [*flat, 1.0, 1.0])  # the first epoch of a phase is its own first best
    assert is_over(stopping, [*flat, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], ["no phase"]),
        ([HEAD, HEAD], ["'head'", "two phases"]),
        ([phase("p", 0, "head/fc")], ["'p'", "0 epochs", "at least 1"]),
        ([phase("p", 1)], ["'p'", "nothing trains"]),
        ([phase("p", 1, "head/fcc")], ["'p'", "head/fcc", "did you mean 'head/fc'"]),
        ([Phase("p", 1, {"head/fc": 0.0})], ["'p'", "head/fc", "0.0", "frozen"]),
        ([Phase("p", 1, {"head/fc": float("nan")})], ["'p'", "head/fc", "nan"]),
        ([Phase("p", 1, {"head/fc": float("inf")})], ["'p'", "head/fc", "inf"]),
        ([phase("p", 1, "head/fc", patience=0)], ["'p'", "patience", "0"]),
        ([phase("p", 1, "head/fc", min_delta=-0.1)], ["'p'", "min_delta", "-0.1"]),
        ([phase("p", 1, "head/fc", start="best")], ["'p'", "start", "best", "first"]),
    ],
)
def test_phases_that_cannot_run_are_refused_by_name(wrong: list[Phase], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        check(wrong, STAGES, has_validation=True)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("settings", [{"patience": 3}, {"start": "best"}])
def test_what_needs_a_validation_split_is_refused_without_one(settings: dict[str, object]) -> None:
    phases = [phase("first", 1, "head/fc"), phase("second", 1, "head/fc", **settings)]
    check(phases, STAGES, has_validation=True)
    with pytest.raises(UserError, match=r"'second'.*validation split.*patience=null.*restore_best=false"):
        check(phases, STAGES, has_validation=False)


@pytest.mark.parametrize(
    ("epochs", "weights", "expected"),
    [
        (3, None, [1, 1, 1]),
        (10, [0.2, 0.4, 0.4], [2, 4, 4]),  # 7 spare epochs end at 1.4, 4.2 and 7
        (4, None, [1, 2, 1]),  # the spare epoch lies at 1/3, 2/3 and 1, nearest to 0, 1 and 1
        (30, [0.2, 0.4, 0.4], [6, 12, 12]),
        (5, [1.0, 0.0, 0.0], [3, 1, 1]),  # at least one each
    ],
)
def test_epochs_are_shared_by_weight(epochs: int, weights: list[float] | None, expected: list[int]) -> None:
    assert share(epochs, ["a", "b", "c"], weights) == expected


def test_shares_always_sum_to_the_epochs_with_at_least_one_each() -> None:
    for epochs in range(6, 60):
        for head in (0.01, 0.2, 1 / 3, 0.5, 0.9):
            lengths = share(epochs, list("abcdef"), [head, *[(1 - head) / 5] * 5])
            assert sum(lengths) == epochs
            assert min(lengths) >= 1


def test_fewer_epochs_than_phases_are_an_error_that_says_how_many_are_needed() -> None:
    with pytest.raises(UserError, match=r"trainer.max_epochs=2.*3 phases.*at least 3.*strategy.groups"):
        share(2, ["a", "b", "c"])


def test_a_run_that_is_over_goes_on_by_more_of_what_has_ended_it() -> None:
    phases = [Phase("a", 2, {"head/fc": 1.0}), Phase("b", 3, {"head/fc": 1.0}, patience=2)]
    falling = [5.0, 4.0, 3.0, 2.0, 1.0]
    assert prolonged_by(phases, falling) == ["trainer.max_epochs"]
    assert prolonged_by(phases, [*falling[:3], 3.0, 3.0]) == ["trainer.max_epochs", "early_stopping.patience"]
    longer = [phases[0], replace(phases[1], epochs=4)]
    assert prolonged_by(longer, [*falling[:3], 3.0, 3.0]) == ["early_stopping.patience"]
