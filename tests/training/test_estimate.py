from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ftlab
from ftlab.cache.decide import Choice, Need
from ftlab.cache.probe import Probed
from ftlab.cli import main
from ftlab.errors import UserError
from ftlab.training.trials.estimate import estimates, passes, total
from tests.training.test_caching import FIRST_TWO, PHASES
from tests.training.tiny import Run, parts_of, prepared


def test_every_phase_is_tried_and_the_run_is_left_as_it_was() -> None:
    parts, settings, make_data = parts_of(*PHASES)
    before = {name: value.clone() for name, value in parts.model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    found = estimates(parts, make_data(), settings)
    assert torch.equal(torch.rand(()), expected)
    assert [(one.phase, one.frozen.train) for one in found] == [("head", "memory"), ("top", "memory"), ("all", "off")]
    assert all(one.step > 0 and one.total > 0 for one in found)
    assert all(torch.equal(value, before[name]) for name, value in parts.model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in parts.model.parameters())


def test_what_the_plan_says_of_the_cache_is_what_the_run_does(tmp_path: Path) -> None:
    parts, settings, make_data = parts_of(*FIRST_TWO, "augment=light")
    said = [one.frozen for one in estimates(parts, make_data(), settings)]
    run: Run = prepared(tmp_path, *FIRST_TWO, "augment=light").fit()
    assert said == run.finetuner.supply.choices


def test_a_phase_costs_its_steps_its_validation_its_loading_and_its_pass() -> None:
    parts, _, make_data = parts_of(*FIRST_TWO)
    phase, data = parts.phases[0], make_data()  # 2 epochs, 40 and 20 samples, batches of 8
    kept = Choice("head", "memory", "memory", "")
    steps = total(phase, kept, data, step=1.0, forward=0.0, loading=0.0, once=0.0, views=1)
    assert steps == 2 * 5
    assert total(phase, kept, data, 0.0, forward=1.0, loading=0.0, once=0.0, views=1) == 2 * 20
    assert total(phase, kept, data, 0.0, 0.0, loading=1.0, once=0.0, views=1) == 0
    assert total(phase, kept, data, 0.0, 0.0, loading=0.0, once=1.0, views=3) == 3 * 40 + 20
    live = Choice("head", "live", "memory", "")
    assert total(phase, live, data, 0.0, 0.0, loading=1.0, once=0.0, views=1) == 2 * 40
    assert total(phase, live, data, 0.0, 0.0, loading=0.0, once=1.0, views=1) == 20


def test_a_pass_is_counted_once_for_all_phases_that_it_serves_at_the_price_of_the_dearest() -> None:
    needs = [
        Need("a", 1, frozenset({"head"}), ("pooled",), frozenset({"x", "y"})),
        Need("b", 3, frozenset({"head", "y"}), ("v",), frozenset({"x"})),
    ]
    probed = Probed(needs, seconds={"a": 3.0, "b": 2.0})
    choices = [Choice(name, "memory", "memory", "") for name in "ab"]
    assert [passes(probed, choices, name) for name in "ab"] == [3.0, 0.0]
    only_b = [replace(choices[0], train="live", val="live"), choices[1]]
    assert [passes(probed, only_b, name) for name in "ab"] == [0.0, 2.0]


def test_a_phase_that_runs_out_of_memory_is_told_by_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, settings, make_data = parts_of(*PHASES)
    loss = type(parts.task).loss

    def full(self: Any, outputs: torch.Tensor, batch: Any) -> Any:
        if outputs.grad_fn is not None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(self, outputs, batch)

    monkeypatch.setattr(type(parts.task), "loss", full)
    with pytest.raises(UserError, match=r"memory.*data\.batch_size"):
        estimates(parts, make_data(), settings)


def test_the_command_prints_what_each_phase_costs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["subset=20", "data.image_size=32", "backbone.name=resnet10t", "backbone.pretrained=false"]
    assert (
        main(["plan", "cache=auto", "trainer.accelerator=cpu", *words, "strategy=progressive", "strategy.groups=1"])
        == 0
    )
    out = capsys.readouterr().out
    assert "frozen part" in out
    assert "kept: " in out
    assert "runs whole" in out
    assert "in all, estimated by a few steps" in out
    assert main(["plan", *words]) == 0
    plain = capsys.readouterr().out
    assert "estimated" not in plain
    ftlab.plan(ftlab.compose(words, "plan"))
    for shown in (out, plain, capsys.readouterr().out):  # of 1,797 digits a share of 0.15 each is 269
        assert [line.split() for line in shown.splitlines()[:4]] == [
            ["network", "resnet10t,", "images", "of", "32", "x", "32", "pixels"],
            ["data", "digits:", "20", "train,", "269", "val,", "269", "test"],
            ["targets", "classes", "(10):", "0,", "1,", "2,", "3", "and", "6", "more"],
            [],
        ]
