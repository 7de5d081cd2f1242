"""A run of a choice whose time is over."""

from pathlib import Path

from ftlab.watchers.deadline import deadline_of, limit


def test_a_run_is_ended_after_the_epoch_in_which_its_time_was_over_and_not_before(tmp_path: Path) -> None:
    assert deadline_of(tmp_path) == []
    limit(tmp_path / "late", -1.0)
    limit(tmp_path / "early", 3600.0)
    (late,), (early,) = deadline_of(tmp_path / "late"), deadline_of(tmp_path / "early")
    assert late.epoch([{}, {}], []) == "the time was over after epoch 2"
    assert early.epoch([{}, {}], []) is None
