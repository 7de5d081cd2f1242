"""A run of a choice whose time is over."""

from pathlib import Path

import ftlab
from ftlab.watchers.deadline import deadline_of, limit


def test_a_run_is_ended_after_the_epoch_in_which_its_time_was_over_and_not_before(tmp_path: Path) -> None:
    assert deadline_of(tmp_path) == []
    limit(tmp_path / "late", -1.0)
    limit(tmp_path / "early", 3600.0)
    (late,), (early,) = deadline_of(tmp_path / "late"), deadline_of(tmp_path / "early")
    assert late.epoch([{}, {}], []) == "the time was over after epoch 2"
    assert early.epoch([{}, {}], []) is None


def test_a_run_that_a_choice_has_left_can_be_prolonged_though_its_time_is_over(tmp_path: Path) -> None:
    words = ["data=diabetes", "task=regression", "subset=60", "strategy=full", "trainer.accelerator=cpu"]
    limit(tmp_path, 3600.0)
    ftlab.train(ftlab.compose([*words, "trainer.max_epochs=1"]), tmp_path)
    limit(tmp_path, -1.0)
    more = [f"resume={tmp_path}", "trainer.max_epochs=3", "resume_allow=[trainer.max_epochs]"]
    assert len(ftlab.train(ftlab.compose([*words, *more]))["history"]) == 3
