"""A number that is nan or infinite: stop, leave the step out, or go back; never a bad weight."""

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from ftlab.batch import Batch
from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.targets.classes import Classes
from ftlab.training.saving.files import LAST
from ftlab.training.saving.loading import read_checkpoint
from ftlab.training.saving.nonfinite import ROLLBACKS, SKIPS_IN_A_ROW, decide, factor, norm, weights_are_finite
from tests.training.test_resume import assert_equal
from tests.training.tiny import CLASSES, Run, moved, parts_of, pictures, prepared

FULL = ("strategy=full", "trainer.max_epochs=3", "optimizer=adamw")


def named() -> Splits:
    train = pictures(40)
    train.names = [f"photos/{i}.png" for i in range(40)]
    return Splits(train, pictures(20, 200), None, Classes(CLASSES))


class Poison(Callback):
    """Makes the images of chosen batches nan, by the number of the batch since the start of the run."""

    def __init__(self, *batches: int) -> None:
        self.batches, self.count = batches, -1
        self.index: list[int] = []
        self.rates: list[float] = []
        self.states: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        self.count += 1
        if self.count in self.batches:
            self.index = batch.index.tolist()
            batch.inputs["images"].fill_(math.nan)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.rates.append(pl_module.optimizers(use_pl_optimizer=False).param_groups[0]["lr"])
        self.states.append({n: v.clone() for n, v in pl_module.model.state_dict().items()})


def bad_gradient(run: Run, *steps: int) -> list[int]:
    """One gradient of the head is infinite at these calls of the backward pass; the loss stays finite."""
    calls: list[int] = []

    def spoil(gradient: Tensor) -> Tensor:
        calls.append(1)
        return torch.full_like(gradient, math.inf) if len(calls) - 1 in steps else gradient

    run.parts.model.head.fc.weight.register_hook(spoil)  # type: ignore[union-attr]
    return calls


# What decides


def test_each_policy_has_its_patience():
    assert decide("stop", 0, 0) == "stop"
    assert [decide("skip", n, 99) for n in (0, SKIPS_IN_A_ROW - 1, SKIPS_IN_A_ROW)] == ["skip", "skip", "stop"]
    assert [decide("rollback", 99, n) for n in (0, ROLLBACKS - 1, ROLLBACKS)] == ["rollback", "rollback", "stop"]


def test_each_rollback_halves_the_rate_from_there_on():
    events = [
        {"done": d, "epoch": e, "step": s} for d, e, s in (("rollback", 0, 4), ("skip", 1, 0), ("rollback", 2, 1))
    ]
    assert factor(events) == 0.25
    assert [factor(events, *at) for at in ((0, 4), (0, 5), (1, 3), (2, 1), (2, 2))] == [1, 0.5, 0.5, 0.5, 0.25]


def test_the_norm_is_that_of_all_gradients_and_tells_every_bad_number():
    some = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    assert float(norm(some)) == 5.0
    assert float(norm([])) == 0.0
    for bad in (math.nan, math.inf):
        assert not math.isfinite(norm([*some, torch.tensor([1.0, bad])]))
    assert float(norm([torch.full((4,), 6e4, dtype=torch.float16)])) == pytest.approx(1.2e5, rel=1e-2)


def test_huge_weights_are_not_taken_for_infinite_ones():
    layer = torch.nn.Linear(4, 4)
    torch.nn.init.constant_(layer.weight, 1e30)  # the square overflows
    assert weights_are_finite(layer)
    layer.weight.data[0, 0] = math.inf
    assert not weights_are_finite(layer)


# stop


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_stop_names_step_phase_and_files_and_keeps_the_last_checkpoint(tmp_path, what):
    run = prepared(tmp_path, *FULL, data=named())
    poison = Poison(*([7] if what == "loss" else []))
    if what == "gradient":
        bad_gradient(run, 7)
    with pytest.raises(UserError) as caught:
        run.fit(poison)
    text = str(caught.value)
    assert all(word in text for word in ("epoch 2", "step 3", "phase 'full'", "photos/", "on_nonfinite=skip|rollback"))
    assert ("loss is nan" in text) == (what == "loss")
    if what == "loss":
        assert all(f"photos/{i}.png" in text for i in poison.index[:3])
    saved = read_checkpoint(tmp_path / "checkpoints" / LAST)
    assert len(saved["ftlab"]["history"]) == 1
    assert all(torch.isfinite(v).all() for v in saved["state_dict"].values())
    parameters = dict(run.parts.model.named_parameters())
    assert not set(parameters) & moved(poison.states[-1], run.state())  # no step was taken with the bad numbers


def test_a_bad_weight_never_gets_into_a_checkpoint(tmp_path):
    """The last step of an epoch has a finite gradient and a rate so huge that the weight overflows."""

    class Overflow(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            if trainer.current_epoch == 1 and trainer.is_last_batch:
                pl_module.model.head.fc.weight.data[0, 0] = math.inf

    with pytest.raises(UserError, match=r"a weight is not finite in epoch 2"):
        prepared(tmp_path, *FULL).fit(Overflow())
    assert len(read_checkpoint(tmp_path / "checkpoints" / LAST)["ftlab"]["history"]) == 1


# skip


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_skip_leaves_the_step_out_with_its_buffers_and_goes_on(tmp_path, what):
    """BatchNorm trains here, so the bad batch has also gone into its running statistics."""
    run = prepared(tmp_path, *FULL, "on_nonfinite=skip", "strategy.batchnorm=train", data=named())
    poison = Poison(*([7] if what == "loss" else []))
    if what == "gradient":
        bad_gradient(run, 7)
    run.fit(poison)
    assert moved(poison.states[6], poison.states[7]) == set()
    assert moved(poison.states[7], poison.states[8])
    assert len(run.finetuner.history) == 3
    assert all(math.isfinite(record["train"]["loss"]) for record in run.finetuner.history)
    (event,) = run.finetuner.recovery.events
    assert (event["epoch"], event["step"], event["phase"], event["done"]) == (1, 2, "full", "skip")


def test_skip_takes_the_whole_window_of_accumulated_batches(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=skip", "trainer.accumulate_grad_batches=2", data=named())
    poison = Poison(2)  # the first batch of the second window
    run.fit(poison)
    assert moved(poison.states[1], poison.states[3]) == set()
    assert moved(poison.states[3], poison.states[4])


def test_too_many_skips_in_a_row_are_an_error(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=skip", "trainer.max_epochs=9", data=named())
    with pytest.raises(UserError, match=rf"left out {SKIPS_IN_A_ROW} steps in a row"):
        run.fit(Poison(*range(2, 99)))


def test_skips_with_good_steps_between_are_not_in_a_row(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=skip", "trainer.max_epochs=6", data=named())
    run.fit(Poison(*range(0, 30, 2)))
    assert len(run.finetuner.recovery.events) == 15


# rollback


def test_rollback_puts_back_weights_and_optimizer_and_halves_the_rate(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=rollback", data=named())
    poison = Poison(7)
    optimizers: list[Any] = []

    class Look(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            if poison.count == 7:
                optimizers.append(deepcopy(pl_module.optimizers(use_pl_optimizer=False).state_dict()["state"]))
                optimizers.append(read_checkpoint(tmp_path / "checkpoints" / LAST)["optimizer_states"][0]["state"])

    run.fit(poison, Look())
    assert moved(poison.states[7], poison.states[4]) == set()  # step 4 was the last of epoch 0
    assert moved(poison.states[7], poison.states[6])
    assert_equal(*optimizers)
    assert poison.rates[:8] == [0.01] * 8
    assert poison.rates[8:] == [0.005] * 7
    assert len(run.finetuner.history) == 3


def test_rollback_before_any_checkpoint_goes_to_the_start_of_the_run(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=rollback", data=named())
    start = run.state()
    poison = Poison(3)
    run.fit(poison)
    assert moved(poison.states[3], start) == set()
    assert moved(poison.states[2], start)


def test_a_fourth_rollback_ends_the_run(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=rollback", data=named())
    with pytest.raises(UserError, match="gone back 3 times"):
        run.fit(Poison(2, 4, 6, 8))


def test_the_halved_rate_is_in_the_checkpoint(tmp_path):
    run = prepared(tmp_path, *FULL, "on_nonfinite=rollback", data=named()).fit(Poison(7))
    saved = read_checkpoint(tmp_path / "checkpoints" / LAST)
    fresh = prepared(tmp_path / "again", *FULL, "on_nonfinite=rollback", data=named())
    fresh.finetuner.trainer = fresh.trainer  # Lightning has done so before it loads
    fresh.finetuner.on_load_checkpoint(saved)
    assert factor(fresh.finetuner.recovery.events) == 0.5
    assert fresh.finetuner.recovery.events == run.finetuner.recovery.events


def test_rollback_in_the_first_epoch_of_a_phase_repeats_its_thaw(tmp_path):
    """The checkpoint is of the phase before: its momentum of what has thawed since must be dropped again."""
    phases = [
        {"name": "all", "epochs": 1, "stages": {"rest": 1.0}},
        {"name": "head", "epochs": 1, "stages": {"head": 1.0, "rest": "frozen"}},
        {"name": "again", "epochs": 1, "stages": {"rest": 1.0}},
    ]
    strategy = {"_target_": "ftlab.strategies.phases.Phases", "inline": phases, "file": None, "batchnorm": "frozen"}
    run = prepared(tmp_path, "trainer.max_epochs=3", "on_nonfinite=rollback", data=named(), strategy=strategy)
    kept: list[set[str]] = []

    class Look(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            if poison.count in (4, 12):
                state = pl_module.optimizers(use_pl_optimizer=False).state
                kept.append({n for n, p in pl_module.model.named_parameters() if p in state})

    poison = Poison(12)
    run.fit(poison, Look())
    everything = {n for n, _ in run.parts.model.named_parameters()}
    assert kept == [everything, {"head.fc.weight", "head.fc.bias"}]
    assert all(p.requires_grad for p in run.parts.model.parameters())


# reports


@pytest.mark.parametrize(("policy", "words"), [("skip", "2 steps left out"), ("rollback", "2 steps undone")])
def test_report_and_rates_tell_what_was_done(tmp_path, policy, words):
    from ftlab.training.fit import Fitted

    run = prepared(tmp_path, *FULL, f"on_nonfinite={policy}", data=named()).fit(Poison(3, 8))
    settings = parts_of(*FULL, f"on_nonfinite={policy}", "monitor=loss")[1]
    report = Fitted(run.parts, settings, run.finetuner).report({})
    (warning,) = report["warnings"]
    assert warning.startswith(words)
    assert all(word in warning for word in ("epoch 1, step 4", "photos/"))
    rates = dict(zip(report["rates"]["epoch"], report["rates"]["groups"]["head/fc"], strict=True))
    halved = [0.01] * 4 + [0.005] * 5 + [0.0025] * 6 if policy == "rollback" else [0.01] * 15
    assert list(rates.values()) == halved


# fp16


def test_an_overflow_that_the_scaler_leaves_out_is_no_error(tmp_path):
    run = prepared(tmp_path, *FULL)
    recovery = run.finetuner.recovery

    def is_bad(scale: float) -> str | None:
        scaler = type("Scaler", (), {"get_scale": lambda self: scale})()
        plugin = type("Plugin", (), {"scaler": scaler})()
        trainer: Any = type("Trainer", (), {"precision_plugin": plugin})()
        return recovery.is_bad(trainer, 1.0, math.inf, [torch.tensor([math.inf])])

    assert is_bad(2.0**16) is None
    assert is_bad(1.0) == "the gradient is not finite"  # the scale cannot become smaller: it is no overflow


# out of memory


def raising(error: BaseException) -> Callable[..., None]:
    def hook(*_: Any) -> None:
        raise error

    return hook


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
    ids=["gpu", "python", "cpu"],
)
def test_out_of_memory_names_the_ways_out_with_the_numbers_of_the_run(tmp_path, error):
    from functools import partial

    from ftlab.run import loaders
    from ftlab.training.fit import fit
    from tests.training.tiny import console

    given = [*FULL, "data.batch_size=32", "trainer.accumulate_grad_batches=2"]
    parts, settings, _ = parts_of(*given)
    parts.model.register_forward_hook(raising(error))
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError) as caught:
        fit(parts, settings, partial(loaders, parts, settings), tmp_path, console())
    text = str(caught.value)
    assert "data.batch_size=32 -> 16 with trainer.accumulate_grad_batches=2 -> 4" in text
    assert "trainer.precision=32-true -> bf16-mixed" in text
    assert "backbone.checkpointing=true" in text


def test_another_error_is_not_taken_for_memory():
    from ftlab.training.trials.out_of_memory import is_out_of_memory

    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))
