"""A val split that is too small to choose by is told of, with what is chance in it."""

import numpy as np
import pytest

from ftlab.data.checks.targets import FEW, undecided
from tests.training.tiny import parts_of


def test_the_margin_is_what_two_equally_good_networks_differ_by_in_19_of_20_splits() -> None:
    draw, samples = np.random.default_rng(0), 10
    # Each answers a tenth of the samples better than the other, and both the rest alike.
    gains = draw.choice([1, -1, 0], (20_000, samples), p=[0.1, 0.1, 0.8]).mean(axis=1)
    (told,) = undecided(samples, has_classes=True, refit=False)
    assert "val has 10 samples to choose by: accuracies that differ by less than 0.28 are chance, about" in told
    assert (np.abs(gains) < 0.28).mean() == pytest.approx(0.95, abs=0.02)


def test_nothing_is_said_without_val_and_where_it_has_enough() -> None:
    assert undecided(0, has_classes=True, refit=False) == undecided(FEW, has_classes=True, refit=False) == []
    assert len(undecided(FEW - 1, has_classes=False, refit=False)) == 1


def test_a_run_says_it_and_names_refit_where_there_is_none() -> None:
    for words, named in (([], True), (["refit=true"], False)):
        (told,) = (text for text in parts_of(*words)[0].spec.warnings if "to choose by" in text)
        assert told.startswith("val has 20 samples to choose by: accuracies that differ by less than 0.20 are chance")
        assert "data.split=[...] gives it more" in told
        assert ("refit=true learns from it too in the end" in told) == named
