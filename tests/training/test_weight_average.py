"""Means of the weights over a phase: by their definition, from the steps of a run that takes no mean."""

import shutil
from pathlib import Path

import pytest
import torch

import ftlab
from ftlab.evaluation import evaluate
from ftlab.run import train
from ftlab.strategies.averages import Exponential, Stochastic
from tests.training.test_averaging import Weights, assert_near, mean, steps_of
from tests.training.test_resume import assert_equal, last, without_times
from tests.training.tiny import BASE, Watch, moved, parts_of, prepared, splits, tiny_backbone

EMA = ("weight_average=ema", "weight_average.decay=0.9")


def exponential(steps: list[Weights], decay: float) -> Weights:
    found = {name: value.float() for name, value in steps[0].items()}
    for count, step in enumerate(steps[1:], start=1):
        kept = min(decay, (1 + count) / (10 + count))
        found = {name: kept * value + (1 - kept) * step[name].float() for name, value in found.items()}
    return found


@pytest.mark.parametrize("words", [(), ("strategy.batchnorm=train", "trainer.accumulate_grad_batches=2")])
def test_ema_is_the_exponential_mean_of_all_steps_of_the_phase(tmp_path: Path, words: tuple[str, ...]) -> None:
    _, plain, _ = steps_of(tmp_path / "plain", *words)
    _, _, averaged = steps_of(tmp_path / "ema", *EMA, *words)
    done: list[Weights] = []
    for steps, epoch in zip(plain.epochs, averaged.epochs, strict=True):
        done += steps
        expected = {k: v for k, v in exponential(done, 0.9).items() if not k.endswith("num_batches_tracked")}
        assert moved(steps[-1], epoch.after)
        assert_near(epoch.after, expected)


def test_swa_is_the_mean_of_all_steps_since_its_start(tmp_path: Path) -> None:
    _, plain, _ = steps_of(tmp_path / "plain")
    _, _, averaged = steps_of(tmp_path / "swa", "weight_average=swa", "weight_average.start=0.4")
    every = [step for steps in plain.epochs for step in steps]  # 3 epochs of 5 steps
    assert len(every) == 15
    assert moved(plain.epochs[0][-1], averaged.epochs[0].after) == set()
    assert_near(averaged.epochs[1].after, mean(every[5:10]))  # the 6th step ends 40 % of the epochs, and begins it
    assert_near(averaged.epochs[2].after, mean(every[5:15]))


def test_val_judges_the_mean(tmp_path: Path) -> None:
    run, _, _ = steps_of(tmp_path, *EMA)
    _, _, make_data = parts_of()
    found = evaluate(run.parts.model, run.parts.task, make_data().loader("val", False), 20).figures()[0]
    assert found["loss"] == pytest.approx(run.finetuner.history[-1]["val"]["loss"], rel=1e-5)


def test_a_mean_begins_anew_with_a_phase_and_leaves_what_is_frozen_alone(tmp_path: Path) -> None:
    words = ("strategy=progressive", "strategy.groups=1", "strategy.head_share=0.5", "strategy.restore_best=false")
    watch = Watch()
    prepared(tmp_path, *words, "trainer.max_epochs=4", *EMA).fit(watch)
    _, second, third, _ = watch.epochs
    assert third.phase != second.phase
    assert moved(second.after, third.before) == set()
    assert moved(watch.epochs[0].before, second.after) == {"head.fc.weight", "head.fc.bias"}


def test_how_much_a_step_counts() -> None:
    assert Exponential(0.5).share(0, 0.1) == 1.0
    assert Exponential(0.99).share(1, 0.1) == pytest.approx(1 - 2 / 11)
    assert Exponential(0.5).share(1000, 0.9) == 0.5
    assert [Stochastic(0.5).share(steps, at) for steps, at in ((4, 0.5), (1, 0.6), (2, 0.7))] == [1.0, 1 / 2, 1 / 3]


COMPOSED = [*BASE, "strategy=progressive", "strategy.groups=2", "trainer.max_epochs=4", "parameters=norm", *EMA]
COMPOSED += ["trainer.accumulate_grad_batches=2", "augment=light", "checkpoint.every_n_steps=2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of several techniques, with copies of its folder from after its epochs and from the middle of them."""
    from ftlab.training.saving.checkpoints import Checkpoints

    folder = tmp_path_factory.mktemp("composed") / "whole"
    save = Checkpoints._save

    def save_and_keep(self, trainer, module, epoch=None):  # type: ignore[no-untyped-def]
        save(self, trainer, module, epoch)
        place = folder.parent / f"{'within' if epoch is None else 'after'}-{trainer.current_epoch}"
        shutil.copytree(folder, place, dirs_exist_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_and_keep)
        train(ftlab.compose(COMPOSED), folder, splits(), tiny_backbone())
    return folder


@pytest.mark.parametrize("place", ["after-2", "within-3"])
def test_a_killed_run_of_several_techniques_ends_with_the_same_bits(whole: Path, place: str, tmp_path: Path) -> None:
    shutil.copytree(whole.parent / place, tmp_path / "run")
    train(ftlab.compose([*COMPOSED, f"resume={tmp_path / 'run'}"]), None, splits(), tiny_backbone())
    a, b = last(whole), last(tmp_path / "run")
    for part in ("state_dict", "optimizer_states", "callbacks"):
        assert_equal(a[part], b[part])
    assert_equal(without_times(a["ftlab"]["history"]), without_times(b["ftlab"]["history"]))
    assert torch.is_tensor(next(iter(a["state_dict"].values())))
