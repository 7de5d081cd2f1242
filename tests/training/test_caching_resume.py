"""Runs with a cache that were killed go on as if they had not been."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ftlab.training.saving import checkpoints
from ftlab.training.saving.checkpoints import Checkpoints
from ftlab.training.trainer import only_news
from tests.training.test_caching import HEAD, TOP, own_cache  # noqa: F401  (a fixture)
from tests.training.test_resume import assert_equal, last
from tests.training.tiny import Run, console, parts_of, prepare, prepared

FIT = "{name: fit, epochs: 1, fit: convex, stages: {head/fc: 1, rest: frozen}}"


def resumed(folder: Path, *words: str) -> Run:
    """The run in `folder`, gone on to its end."""
    parts, settings, make_data = parts_of(*words)
    run = Run(parts, *prepare(parts, settings, make_data, folder, console()))
    with only_news():
        run.trainer.fit(run.finetuner, ckpt_path=checkpoints.newest(folder / "checkpoints"), weights_only=True)
    return run


def keep_within(patch: pytest.MonkeyPatch, epoch: int, place: Path) -> None:
    """Copies of a run's folder, as a kill in the middle of an epoch would leave it."""
    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, ended: int | None = None) -> None:
        save(self, trainer, module, ended)
        if ended is None and trainer.current_epoch == epoch:
            shutil.copytree(self.folder.parent, place, dirs_exist_ok=True)

    patch.setattr(Checkpoints, "_save", lambda self, t, m, epoch=None: save_and_keep(self, t, m, epoch))


def test_a_convex_phase_that_goes_on_leaves_the_next_phase_its_own_values(tmp_path: Path) -> None:
    """It asks for batches a second time; all who read must go over to the values of the next phase."""
    words = ["strategy=phases", f"strategy.inline=[{FIT},{HEAD},{TOP}]", "cache=memory", "augment=light"]
    words += ["cache.views=2", "checkpoint.every_n_steps=1"]
    with pytest.MonkeyPatch.context() as patch:
        keep_within(patch, 0, tmp_path / "killed")
        prepared(tmp_path / "whole", *words).fit()
    resumed(tmp_path / "killed", *words)
    assert_equal(last(tmp_path / "whole")["state_dict"], last(tmp_path / "killed")["state_dict"])


def test_a_run_that_goes_on_with_another_cache_decides_anew(tmp_path: Path) -> None:
    words = ["strategy=head_only", "trainer.max_epochs=2", "checkpoint.every_n_steps=1"]
    with pytest.MonkeyPatch.context() as patch:
        keep_within(patch, 1, tmp_path / "killed")
        prepared(tmp_path / "whole", *words, "cache=memory").fit()
    gone_on = resumed(tmp_path / "killed", *words, "cache=disk")
    assert [choice.train for choice in gone_on.finetuner.supply.choices] == ["disk"]


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_a_convex_phase_that_goes_on_sees_the_same_images_in_another_precision(tmp_path: Path, cache: str) -> None:
    words = ["strategy=phases", f"strategy.inline=[{FIT}]", f"cache={cache}", "trainer.precision=64-true"]
    words += ["checkpoint.every_n_steps=1"]
    with pytest.MonkeyPatch.context() as patch:
        keep_within(patch, 0, tmp_path / "killed")
        prepared(tmp_path / "whole", *words).fit()
    resumed(tmp_path / "killed", *words)
    assert_equal(last(tmp_path / "whole")["state_dict"], last(tmp_path / "killed")["state_dict"])
