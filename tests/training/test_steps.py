"""The short steps are Lightning's own: the same weights, counts and calls, without what nobody asked for."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from ftlab.training import steps
from ftlab.training.steps import LEFT_OUT, ShortSteps
from tests.training.test_resume import assert_equal, last, without_times
from tests.training.tiny import Run, prepared

PHASES = (
    "strategy=phases",
    "strategy.inline=[{name: head, epochs: 2, stages: {head/fc: 1, rest: frozen}},"
    "{name: top, epochs: 2, stages: {head/fc: 1, backbone/top: 0.5, rest: frozen}},"
    "{name: all, epochs: 1, stages: {rest: 1}}]",
)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the batches that took a short step."""
    numbers: list[int] = []
    step = ShortSteps._step

    def counted(self: ShortSteps, module: Any, batch: Any, number: int) -> Any:
        numbers.append(number)
        return step(self, module, batch, number)

    monkeypatch.setattr(ShortSteps, "_step", counted)
    return numbers


class Told(Callback):
    """Every hook around a batch, with the number of the batch and the counts of Lightning at that moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.note(trainer, "start", batch_idx, batch.index.tolist())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.note(trainer, "end", batch_idx, float(outputs["loss"]))

    def note(self, trainer: Any, *said: Any) -> None:
        at = trainer.fit_loop.epoch_loop
        self.calls.append((*said, trainer.global_step, trainer.is_last_batch, at.batch_idx, at._batches_that_stepped))


def ended(folder: Path, *words: str) -> tuple[Run, Told]:
    told = Told()
    return prepared(folder, *PHASES, *words).fit(told), told


@pytest.mark.parametrize(
    "words",
    [
        ("cache=off", "trainer.gradient_clip_val=0.01", "optimizer=sgd"),
        ("cache=memory", "trainer.precision=bf16-mixed"),
        ("checkpoint.every_n_steps=2", "trainer.accumulate_grad_batches=2"),
        pytest.param(("trainer.precision=64-true",), marks=pytest.mark.slow),
        pytest.param(("cache=off", "trainer.accumulate_grad_batches=3"), marks=pytest.mark.slow),
    ],
    ids=lambda words: " ".join(words),
)
def test_weights_checkpoints_and_calls_are_those_of_lightnings_own_steps(
    tmp_path: Path, taken: list[int], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    short, told = ended(tmp_path / "short", *words)
    assert taken == [0, 1, 2, 3, 4] * 5
    monkeypatch.setattr(steps, "is_plain", lambda trainer: False)
    own, told_by_own = ended(tmp_path / "own", *words)
    assert len(taken) == 25
    assert_equal(short.state(), own.state())
    assert told.calls == told_by_own.calls
    one, other = last(tmp_path / "short"), last(tmp_path / "own")
    assert_equal(one["loops"], other["loops"])
    assert_equal(one["optimizer_states"], other["optimizer_states"])
    assert_equal(one["state_dict"], other["state_dict"])
    assert without_times(short.finetuner.history) == without_times(own.finetuner.history)


@pytest.mark.parametrize("hook", LEFT_OUT)
def test_a_callback_that_listens_to_what_is_left_out_brings_lightnings_own_steps_back(
    tmp_path: Path, taken: list[int], hook: str
) -> None:
    heard: list[int] = []
    listener = type("Listener", (Callback,), {hook: lambda self, trainer, *rest: heard.append(trainer.global_step)})
    prepared(tmp_path, *PHASES).fit(listener())
    assert not taken
    assert len(heard) == 25


def test_a_callback_of_functions_is_heard_too(tmp_path: Path, taken: list[int]) -> None:
    heard: list[int] = []
    prepared(tmp_path, *PHASES).fit(LambdaCallback(on_after_backward=lambda *_: heard.append(1)))
    assert not taken
    assert len(heard) == 25


def test_a_convex_phase_takes_no_short_steps(tmp_path: Path, taken: list[int]) -> None:
    prepared(tmp_path, "strategy=closed_form").fit()
    assert not taken


def test_the_loop_that_is_shortened_has_the_parts_that_are_replaced() -> None:
    for name in ("advance", "on_run_start", "_should_accumulate", "batch_idx", "on_advance_end"):
        assert hasattr(_TrainingEpochLoop, name), f"Lightning's loop has no {name} any more: look at steps.py again"
