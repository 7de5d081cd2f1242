"""The table of `python -m tests.benchmarks.trust`: those in one process find ftlab right, and can say wrong."""

import pytest

from ftlab.training.phases import unfreezing
from tests.benchmarks.checks import old_momentum
from tests.benchmarks.trust import ALONE, Check, measure
from tests.benchmarks.ways import FTLAB, STOCK


@pytest.mark.parametrize("check", ALONE.values(), ids=lambda check: check.__name__)
def test_ftlab_is_right(check: Check) -> None:
    measured, right = measure(check, FTLAB)
    assert right is True, measured


@pytest.mark.parametrize("check", [c for c in ALONE.values() if c is not old_momentum], ids=lambda c: c.__name__)
def test_the_check_tells_a_way_that_is_wrong(check: Check) -> None:
    measured, right = measure(check, STOCK)
    assert right is False, measured


def test_the_check_of_old_momentum_tells_a_way_that_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfreezing, "forget", lambda optimizer, parameters: None)
    measured, right = measure(old_momentum, FTLAB)
    assert right is False
    assert float(measured) > 0.01
