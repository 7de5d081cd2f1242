"""What is proposed for which data, and which of it goes on: arithmetic."""

from dataclasses import replace

import pytest

from ftlab.choosing.halving import LEAST, Result, finalists, is_ahead, price, seconds, short
from ftlab.choosing.rules import Proposal, Seen, proposals, together
from ftlab.errors import UserError

IMAGES = Seen(
    train=300, pixels=True, pretrained=True, convex=True, learners=True, columns=False, batch_size=32, side=28,
    ranked=(("other", 2.0),),
)  # fmt: skip
TABLE = replace(IMAGES, pixels=False, pretrained=False, columns=True, ranked=(), side=None)
NOW = {
    "optimizer.lr": 0.001,
    "optimizer.weight_decay": 0.01,
    "strategy._target_": "ftlab.strategies.lp_ft.LpFt",
    "trainer.max_epochs": 12,
    "data.image_size": 48,
    "backbone.width": 64,
    "backbone.dropout": 0.1,
}


def words(seen: Seen, typed: frozenset[str] = frozenset(), now: dict = NOW) -> list[str]:
    return [word for one in proposals(seen, now, typed) for word in one.words]


def test_each_proposal_names_its_reason_and_its_source() -> None:
    found = proposals(IMAGES, NOW, frozenset())
    assert len({one.name for one in found}) == len(found) > 6
    assert all(one.why and one.source for one in found)


def test_images_and_tables_get_what_is_for_them() -> None:
    images, table = words(IMAGES), words(TABLE)
    assert {"augment=light", "data.image_size=72", "backbone.name=other", "rates=layer_decay"} <= {*images}
    assert {"head.estimator=hist_gradient_boosting", "backbone.width=128", "backbone.dropout=0.3"} <= {*table}
    assert not {"augment=light", "rates=layer_decay"} & {*table}
    assert not {"backbone.width=128", "head.estimator=hist_gradient_boosting"} & {*images}


def test_no_proposal_touches_what_was_typed() -> None:
    assert "optimizer.lr=0.003" in words(IMAGES)
    assert not [word for word in words(IMAGES, frozenset({"optimizer.lr"})) if word.startswith("optimizer.lr")]
    whole = words(IMAGES, frozenset({"strategy"}))
    assert not [word for word in whole if word.startswith(("strategy", "rates"))]


def test_what_no_phase_reads_is_not_proposed() -> None:
    closed = {key: NOW[key] for key in ("data.image_size", "backbone.width")}
    closed["strategy._target_"] = "ftlab.strategies.closed_form.ClosedForm"
    found = {word.partition("=")[0] for word in words(IMAGES, now=closed)}
    assert found == {"strategy", "head", "backbone.name", "data.image_size"}


def test_few_samples_are_tried_in_smaller_batches_and_many_in_larger_ones() -> None:
    assert "data.batch_size=16" in words(IMAGES)
    assert "data.batch_size=64" in words(replace(IMAGES, train=5000))


def proposal(name: str, *typed: str, cost: float = 1.0, one_epoch: bool = False) -> Proposal:
    return Proposal(name, typed, "why", "source", cost, one_epoch)


def test_what_helped_is_tried_together_and_of_two_for_one_key_the_better() -> None:
    a, b, c = proposal("a", "lr=3", cost=2.0), proposal("b", "lr=1"), proposal("c", "size=8", cost=1.5)
    both = together([a, b, c])
    assert both is not None
    assert both.words == ("lr=3", "size=8")
    assert both.cost == 3.0
    assert together([a, b]) is None


def test_what_is_ahead_of_the_same_short_run_of_what_stands_goes_on() -> None:
    a, b, c, d = (proposal(name, f"{name}=1") for name in "abcd")
    results = [Result(a, 0.5), Result(b, 0.9), Result(c, 0.8), Result(d, None)]
    assert [one.name for one in finalists(results, 0.6)] == ["b and c", "b", "c"]
    assert [one.name for one in finalists(results, 0.95)] == ["b", "c"]  # nothing is ahead: still the best of them
    closed = Result(proposal("closed", "strategy=closed_form", one_epoch=True), 1.0)
    assert [one.name for one in finalists([closed], 0.5)] == []  # it has run whole already


def test_a_short_run_has_a_third_of_the_epochs_and_room_for_phases() -> None:
    assert [short(epochs) for epochs in (3, 10, 30)] == [3, LEAST, 10]


def test_a_difference_of_rounding_is_none() -> None:
    assert is_ahead(0.4256, 0.4249)
    assert not is_ahead(0.42490012, 0.4249)
    assert is_ahead(-0.5, -0.6)
    assert not is_ahead(-0.5, -0.5)


def test_a_price_goes_by_epochs_and_by_what_is_changed() -> None:
    assert price(proposal("a", cost=2.0), 60.0, 1 / 3) == pytest.approx(40)
    assert price(proposal("a", one_epoch=True), 60.0, 1.0) == pytest.approx(60 / LEAST)


def test_a_time_has_a_unit() -> None:
    assert [seconds(text) for text in ("90s", "10min", "1.5h")] == [90, 600, 5400]
    for wrong in ("10", "min", "0s", "10 days"):
        with pytest.raises(UserError, match="expected a number with its unit"):
            seconds(wrong)
