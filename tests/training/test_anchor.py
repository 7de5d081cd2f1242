"""L2-SP: each step takes the backbone a part of the way back to where it began."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.training.trials.batch_size import alone
from ftlab.training.trials.range_test import Trial
from tests.training.tiny import Watch, parts_of, prepared, tiny_backbone

PLAIN = ["strategy=full", "trainer.max_epochs=2", "optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false"]
PLAIN += ["optimizer.weight_decay=0.5", "parameters=all"]
CONV, HEAD = "backbone.model.top.conv.weight", "head.fc.weight"


def test_two_steps_are_those_of_its_definition() -> None:
    """w <- w - rate g, then w <- w + rate strength (start - w); the head alone decays to 0."""
    rate, strength = 0.1, 2.0
    parts, settings, make_data = parts_of(*PLAIN, "anchor=l2_sp", f"anchor.strength={strength}")
    trial = Trial(parts, parts.model, parts.phases[0], alone(settings.trainer), settings)
    start = {name: trial.model.get_parameter(name).detach().clone() for name in (CONV, HEAD)}
    expected = dict(start)
    for number, batch in zip(range(2), make_data().loader("train", shuffle=True), strict=False):
        *_, weight = trial.losses(batch, seed=number)
        gradient: dict[str, Tensor] = {name: trial.model.get_parameter(name).grad / weight for name in (CONV, HEAD)}
        trial.descend(rate, weight)
        stepped = expected[CONV] - rate * gradient[CONV]
        expected[CONV] = stepped + rate * strength * (start[CONV] - stepped)
        expected[HEAD] = expected[HEAD] - rate * (gradient[HEAD] + 0.5 * expected[HEAD])
        for name in (CONV, HEAD):
            torch.testing.assert_close(trial.model.get_parameter(name).detach(), expected[name], atol=1e-6, rtol=1e-5)


def way(folder: Path, *words: str) -> tuple[float, float]:
    """How far the backbone and the head went."""
    watch = Watch()
    prepared(folder, *PLAIN, "optimizer.weight_decay=0", *words, drop=0.0).fit(watch)
    first, last = watch.epochs[0].before, watch.epochs[-1].after
    return tuple(float((last[name] - first[name]).norm()) for name in (CONV, HEAD))  # type: ignore[return-value]


def test_an_anchored_backbone_stays_nearer_to_its_start_in_a_run(tmp_path: Path) -> None:
    free, head = way(tmp_path / "free")
    held, other = way(tmp_path / "held", "anchor=l2_sp", "anchor.strength=50")
    assert held < 0.5 * free
    assert other > 0.5 * head


def test_one_that_reaches_beyond_the_start_only_reaches_it(tmp_path: Path) -> None:
    held, _ = way(tmp_path, "anchor=l2_sp", "anchor.strength=100000")
    assert held == 0.0


def test_random_weights_are_nothing_to_go_back_to() -> None:
    backbone = tiny_backbone()
    backbone.loaded = type(backbone.loaded)("random")
    with pytest.raises(UserError, match="anchor=l2_sp: the backbone has random weights"):
        parts_of(*PLAIN, "anchor=l2_sp", backbone=backbone)
