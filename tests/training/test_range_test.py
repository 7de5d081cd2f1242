"""Tests of learning rates: what they leave as it was, what they try, and what `optimizer.lr=auto` makes of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import ftlab
from ftlab.cli import main
from ftlab.data.module import DataModule
from ftlab.errors import UserError
from ftlab.rates.suggesting import rising
from ftlab.run import train
from ftlab.training.trials.batch_size import alone
from ftlab.training.trials.range_test import Trial, begun, range_tests
from tests.training.tiny import BASE, Watch, parts_of, prepared, splits, tiny_backbone

FULL = ["strategy=full", "trainer.max_epochs=2", "optimizer=sgd", "optimizer.momentum=0.9"]
WIDE = (1e-4, 10.0, 25)


def curves_of(*words: str, rates: tuple[float, float, int] = WIDE) -> Any:
    parts, settings, make_data = parts_of(*words)
    return range_tests(parts, make_data(), settings, parts.phases, rates)


def first_batch(data: DataModule) -> torch.Tensor:
    return next(iter(data.loader("train", shuffle=True))).index


def test_not_a_bit_is_other_than_before() -> None:
    parts, settings, make_data = parts_of("strategy=lp_ft", "trainer.max_epochs=3", "augment=light")
    data = make_data()
    generator, batch = torch.get_rng_state(), first_batch(data)
    before = {name: value.clone() for name, value in parts.model.state_dict().items()}
    asked = [parameter.requires_grad for parameter in parts.model.parameters()]
    modes = [module.training for module in parts.model.modules()]
    assert range_tests(parts, data, settings, parts.phases, WIDE)
    assert all(torch.equal(value, before[name]) for name, value in parts.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(first_batch(data), batch)
    assert [parameter.requires_grad for parameter in parts.model.parameters()] == asked
    assert [module.training for module in parts.model.modules()] == modes
    assert all(parameter.grad is None for parameter in parts.model.parameters())


def test_the_same_settings_give_the_same_curve() -> None:
    assert curves_of(*FULL) == curves_of(*FULL)


def test_the_loss_is_that_of_the_first_batch_and_what_the_steps_change() -> None:
    """At rates so low that nothing moves the curve is flat, however different the batches are."""
    (curve,) = curves_of(*FULL, rates=(1e-12, 1e-10, 10))
    assert curve.losses == pytest.approx([curve.losses[0]] * 10, rel=1e-5)


def test_stages_keep_the_ratios_of_their_rates() -> None:
    """With plain SGD a step is rate x gradient: half the multiplier is half the way."""
    plain = [
        "strategy=full",
        "trainer.max_epochs=1",
        "optimizer=sgd",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
        "optimizer.weight_decay=0",
    ]
    rules = "rates.patterns={head: 1.0, backbone/top: 0.5, rest: 0.25}"
    parts, settings, make_data = parts_of(*plain, "rates=differential", rules)
    trainer = alone(settings.trainer)
    trial = Trial(parts, begun(parts, make_data(), trainer), parts.phases[0], trainer, settings)
    batch = next(iter(make_data().loader("train", shuffle=True)))
    before = {name: value.clone() for name, value in trial.model.named_parameters()}
    *_, weight = trial.losses(batch, seed=0)
    gradients = {name: p.grad / weight for name, p in trial.model.named_parameters() if p.grad is not None}
    trial.descend(0.1, weight)
    for name, share in (("head.fc.weight", 1.0), ("backbone.model.top.conv.weight", 0.5),
                        ("backbone.model.stem.conv.weight", 0.25)):  # fmt: skip
        moved = before[name] - trial.model.get_parameter(name)
        torch.testing.assert_close(moved, 0.1 * share * gradients[name], atol=1e-7, rtol=1e-4)


def test_a_phase_behind_a_fit_in_closed_form_begins_with_its_head(tmp_path: Path) -> None:
    parts, settings, make_data = parts_of("strategy=lp_ft", "strategy.head_init=closed_form", "trainer.max_epochs=3")
    assert [phase.fit for phase in parts.phases][:2] == ["convex", "gradient"]
    model = begun(parts, make_data(), alone(settings.trainer))
    watch = Watch()
    prepared(tmp_path, "strategy=lp_ft", "strategy.head_init=closed_form", "trainer.max_epochs=3").fit(watch)
    fitted = watch.epochs[1].before["head.fc.weight"]  # to features that a fast copy computed
    torch.testing.assert_close(model.head.fc.weight, fitted, atol=0.05 * float(fitted.abs().max()), rtol=0)


def test_a_test_ends_where_the_loss_blows_up() -> None:
    (curve,) = curves_of(*FULL, rates=(1e-2, 1e4, 60))
    assert len(curve.rates) < 60
    assert curve.rates == rising(1e-2, 1e4, 60)[: len(curve.rates)]


def test_without_gradient_descent_there_is_no_rate_to_find() -> None:
    with pytest.raises(UserError, match="no phase trains by gradient descent"):
        curves_of("strategy=closed_form")


def test_auto_takes_the_valley_keeps_it_and_says_so(tmp_path: Path) -> None:
    words = [word for word in BASE if not word.startswith("optimizer.lr")]
    words += ["strategy=full", "trainer.max_epochs=2", "optimizer.lr=auto"]
    report = train(ftlab.compose(words), tmp_path / "run", splits(), tiny_backbone(0.0))
    found = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["optimizer"]["lr"]
    (line,) = [one for one in report["automatic"] if one.startswith("optimizer.lr=auto")]
    assert line.startswith(f"optimizer.lr=auto: {found}; the valley of a range test of phase 'full'")
    assert report["rates"]["groups"]["head/fc"][0] == pytest.approx(found)  # schedule=constant
    parts, settings, make_data = parts_of("strategy=full", "trainer.max_epochs=2", "optimizer.lr=1", drop=0.0)
    (curve,) = range_tests(parts, make_data(), settings, parts.phases)
    assert found == float(f"{curve.suggested['valley']:.2g}")


def test_the_command_prints_suggestions_and_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data=diabetes", "task=regression", "strategy=full", "find.steps=40", "trainer.accelerator=cpu"]
    page = tmp_path / "rates.html"
    assert main(["lr-find", *words, f"output={page}"]) == 0
    said = capsys.readouterr().out
    assert "steepest" in said
    assert "optimizer.lr=RATE" in said
    text = page.read_text()
    assert "training loss over learning rates" in text
    assert "ftlab lr-find data=diabetes" in text
    assert main(["lr-find", *words, f"output={page}"]) == 2
    assert "the file exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [("find.lowest=2", "is not below find.highest"), ("find.steps=2", "too few from"), ("find.stpes=9", "steps")],
)
def test_rates_that_do_not_rise_are_refused(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr-find", word]) == 2
    assert said in capsys.readouterr().err
