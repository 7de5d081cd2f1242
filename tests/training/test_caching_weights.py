"""Frozen weights that change between phases: no value of before is read after."""

from pathlib import Path

import pytest

from tests.training.test_caching import ALL, HEAD, TOP, own_cache, told  # noqa: F401  (a fixture)
from tests.training.test_caching_data import apart
from tests.training.test_nonfinite import bad_gradient
from tests.training.tiny import prepared

# In float64 rounding does not grow, over many steps, to what a stale value would do.
EXACT = ("trainer.precision=64-true", "optimizer.lr=0.1")
BEST = "{name: best, epochs: 2, start: best, stages: {head/fc: 1, rest: frozen}}"
WHOLE = ALL.replace("epochs: 1", "epochs: 3")


def of(*phases: str) -> list[str]:
    return [*EXACT, "strategy=phases", f"strategy.inline=[{','.join(phases)}]"]


def test_a_phase_that_freezes_again_has_the_values_of_the_weights_it_begins_with(tmp_path: Path) -> None:
    """All has trained before, and the best epoch of that was not the last."""
    words = of(HEAD, WHOLE, BEST, TOP)
    run = prepared(tmp_path / "a", *words, "cache=memory").fit()
    losses = [record["val"]["loss"] for record in run.finetuner.history if record["phase"] == "all"]
    assert losses.index(min(losses)) < len(losses) - 1, "else nothing is restored"
    assert [choice.train for choice in run.finetuner.supply.choices] == ["memory", "off", "memory", "memory"]
    assert apart(run, prepared(tmp_path / "b", *words, "cache=off").fit()) < 1e-9


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_a_rollback_in_a_cached_phase_goes_back_to_weights_that_the_values_are_of(tmp_path: Path, mode: str) -> None:
    """In the first epoch of a phase: the checkpoint to go back to is one of the phase before."""
    words = [*of(WHOLE, BEST, TOP), "on_nonfinite=rollback"]
    runs = [prepared(tmp_path / cache, *words, f"cache={cache}") for cache in (mode, "off")]
    for run in runs:
        bad_gradient(run, 2, 15 + 2, 15 + 10 + 3)  # 5 steps an epoch; the phases have 3, 2 and 2 epochs
        run.fit()
        assert [event["phase"] for event in run.finetuner.recovery.events] == ["all", "best", "top"]
    assert apart(*runs) < 1e-9


def test_a_later_run_does_not_find_values_of_weights_that_a_phase_of_it_has_trained(tmp_path: Path) -> None:
    words = [*of(HEAD, WHOLE, BEST), "cache=disk"]
    first = prepared(tmp_path / "a", *words).fit()
    second = prepared(tmp_path / "b", *words, "optimizer.lr=0.05").fit()
    assert told(first)["best"]["found"] == told(second)["best"]["found"] == 0
    assert told(second)["head"]["found"] == 2
    assert apart(second, prepared(tmp_path / "c", *words[:-1], "optimizer.lr=0.05", "cache=off").fit()) < 1e-9
