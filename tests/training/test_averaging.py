"""An epoch ends with the mean of the weights over its steps; training goes on from the last of them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

import ftlab
from ftlab.assembly import assemble
from ftlab.config import plainly
from ftlab.errors import UserError
from ftlab.evaluation import evaluate
from ftlab.resume import CONFIG, as_read
from ftlab.run import train
from ftlab.strategies.phases import Phases
from ftlab.training.finetuner import FineTuner
from ftlab.training.phases.averaging import Averaging
from tests.training.test_nonfinite import Poison
from tests.training.test_resume import assert_equal, last, without_times
from tests.training.tiny import BASE, Run, Watch, moved, parts_of, prepared, splits, tiny_backbone

FULL = ("strategy=full", "trainer.max_epochs=3")
MEAN = "strategy.average=true"
Weights = dict[str, Tensor]


class Steps(Callback):
    """The weights and statistics after each step, by epoch; the last ones of an epoch as it ends."""

    def __init__(self) -> None:
        self.epochs: list[list[Weights]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: FineTuner) -> None:  # type: ignore[override]
        self.epochs.append([])

    def on_train_batch_end(self, trainer: Any, pl_module: FineTuner, *_: Any) -> None:  # type: ignore[override]
        done = trainer.fit_loop.epoch_loop.batch_idx + 1
        if done % trainer.accumulate_grad_batches == 0 or done == trainer.num_training_batches:
            self.epochs[-1].append(Watch.state(pl_module))


def mean(steps: list[Weights]) -> Weights:
    return {name: torch.stack([one[name].float() for one in steps]).mean(0) for name in steps[0]}


def assert_near(found: Weights, expected: Weights) -> None:
    for name in expected:
        torch.testing.assert_close(found[name].float(), expected[name], msg=name)


def steps_of(folder: Path, *words: str, **given: Any) -> tuple[Run, Steps, Watch]:
    steps, watch = Steps(), Watch()
    return prepared(folder, *FULL, *words, **given).fit(steps, watch), steps, watch


@pytest.mark.parametrize("words", [(), ("strategy.batchnorm=train", "trainer.accumulate_grad_batches=2")])
def test_each_epoch_ends_with_the_mean_of_the_steps_that_a_run_without_means_takes(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    _, plain, _ = steps_of(tmp_path / "plain", *words)
    _, _, averaged = steps_of(tmp_path / "mean", MEAN, *words)
    counted = {name for name in averaged.epochs[0].after if name.endswith("num_batches_tracked")}
    for steps, epoch in zip(plain.epochs, averaged.epochs, strict=True):
        expected = {name: value for name, value in mean(steps).items() if name not in counted}
        assert len(steps) > 1
        assert moved(steps[-1], epoch.after)
        assert_near(epoch.after, expected)


def test_val_judges_the_mean_and_the_checkpoint_holds_it(tmp_path: Path) -> None:
    run, _, watch = steps_of(tmp_path, MEAN)
    saved = last(tmp_path)["state_dict"]
    assert moved(watch.epochs[-1].after, {name.removeprefix("model."): v for name, v in saved.items()}) == set()
    _, _, make_data = parts_of()
    found = evaluate(run.parts.model, run.parts.task, make_data().loader("val", False), 20).figures()[0]
    assert found["loss"] == pytest.approx(run.finetuner.history[-1]["val"]["loss"], rel=1e-5)


@pytest.mark.parametrize("best", ["true", "false"])
def test_a_phase_begins_with_the_mean_and_within_it_training_goes_on_where_it_was(tmp_path: Path, best: str) -> None:
    words = ("strategy=progressive", "strategy.groups=1", "strategy.head_share=0.5", "trainer.max_epochs=4")
    watch = Watch()
    run = prepared(tmp_path, *words, MEAN, f"strategy.restore_best={best}", "optimizer.lr=0.001").fit(watch)
    losses = [record["val"]["loss"] for record in run.finetuner.history[:2]]
    found = losses.index(min(losses)) if best == "true" else 1
    first, second, third, _ = watch.epochs
    assert moved(first.after, second.before)
    assert third.phase != second.phase
    assert moved(watch.epochs[found].after, third.before) == set()


def test_what_is_frozen_and_a_fit_in_closed_form_stay_as_they_are(tmp_path: Path) -> None:
    words = ("strategy=lp_ft", "strategy.groups=2", "trainer.max_epochs=3", "strategy.head_init=closed_form")
    _, plain = prepared(tmp_path / "a", *words, "strategy.average=false"), Watch()
    prepared(tmp_path / "b", *words, "strategy.average=false").fit(plain)
    watch = Watch()
    prepared(tmp_path / "c", *words, MEAN).fit(watch)
    assert moved(plain.epochs[0].after, watch.epochs[0].after) == set()
    assert not any("stem" in name for name in moved(watch.epochs[0].after, watch.epochs[1].after))


def test_after_a_rollback_the_mean_is_of_the_steps_since(tmp_path: Path) -> None:
    averaging: list[Averaging] = []

    class Look(Callback):
        counts: list[int] = []  # noqa: RUF012

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            averaging[:] = [one for one in trainer.callbacks if isinstance(one, Averaging)]
            self.counts.append(averaging[0].steps)

    prepared(tmp_path, *FULL, MEAN, "on_nonfinite=rollback").fit(Poison(7), look := Look())
    assert look.counts[:10] == [1, 2, 3, 4, 0, 1, 2, 1, 2, 0]  # the third step of the second epoch went back


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with means, with copies of its folder from after its epochs and from the middle of them."""
    from ftlab.training.saving.checkpoints import Checkpoints

    folder = tmp_path_factory.mktemp("averaging") / "whole"
    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        shutil.copytree(folder, folder.parent / f"{'within' if epoch is None else 'after'}-{trainer.current_epoch}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_and_keep)
        train(ftlab.compose(RESUMED), folder, splits(), tiny_backbone())
    return folder


RESUMED = [*BASE, *FULL, MEAN, "checkpoint.every_n_steps=4"]


@pytest.mark.parametrize("place", ["after-0", "within-1"])
def test_a_killed_run_ends_with_the_same_means(whole: Path, place: str, tmp_path: Path) -> None:
    shutil.copytree(whole.parent / place, tmp_path / "run")
    train(ftlab.compose([*RESUMED, f"resume={tmp_path / 'run'}"]), None, splits(), tiny_backbone())
    a, b = last(whole), last(tmp_path / "run")
    assert_equal(a["state_dict"], b["state_dict"])
    assert_equal(a["callbacks"], b["callbacks"])
    assert_equal(without_times(a["ftlab"]["history"]), without_times(b["ftlab"]["history"]))


def test_best_weights_that_nothing_goes_on_from_are_kept_without_the_others(whole: Path) -> None:
    best = whole / "checkpoints" / "best.ckpt"
    assert best.samefile(whole / "checkpoints" / "last.ckpt") or not ftlab_state(best)


def ftlab_state(path: Path) -> Any:
    from ftlab.training.saving.loading import read_checkpoint

    return read_checkpoint(path).get("callbacks")


def test_lp_ft_averages_pretrained_networks_and_a_run_of_before_goes_on_without(tmp_path: Path) -> None:
    config = plainly(ftlab.compose(["data.image_size=32", "trainer.max_epochs=4"]), resolve=True)
    parts = assemble(config, describe_only=True)
    assert [phase.averages for phase in parts.phases] == [False, True, True]
    random = assemble({**config, "backbone": {**config["backbone"], "pretrained": False}}, describe_only=True)
    assert not any(phase.averages for phase in random.phases)

    (tmp_path / CONFIG).write_text("strategy: {rate: auto}\n")
    assert as_read({**config, "resume": str(tmp_path)})["strategy"]["average"] is False
    (tmp_path / CONFIG).write_text("strategy: {rate: auto, average: auto}\n")
    assert as_read({**config, "resume": str(tmp_path)})["strategy"]["average"] == "auto"


def test_a_phase_of_ones_own_says_it_by_true_or_false() -> None:
    entry: dict[str, Any] = {"name": "all", "epochs": 2, "stages": {"rest": 1.0}}
    told = Phases(inline=({**entry, "average": True}, {**entry, "name": "on"})).phases(["backbone/a", "head/fc"], 9)
    assert [phase.average for phase in told] == [True, False]
    with pytest.raises(UserError, match="average='yes'; expected true or false"):
        Phases(inline=({**entry, "average": "yes"},)).phases(["backbone/a", "head/fc"], 9)
