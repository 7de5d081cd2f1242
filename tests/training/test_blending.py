"""WiSE-FT: the weights between start and end that val likes best are judged and bundled."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import ftlab
from ftlab.errors import UserError
from ftlab.run import train
from ftlab.tasks.monitor import Monitor
from ftlab.training.blending import between, blend
from ftlab.training.saving.loading import read_checkpoint
from tests.training.tiny import BASE, parts_of, splits, tiny_backbone

WORDS = ["strategy=lp_ft", "strategy.head_init=closed_form", "strategy.groups=1", "trainer.max_epochs=3"]


def weight(value: float) -> dict[str, Tensor]:
    return {"weight": torch.full((1, 1), value)}


def test_weights_lie_on_the_line_from_start_to_end_and_counts_are_those_of_the_end() -> None:
    start, end = weight(1.0) | {"count": torch.tensor(3)}, weight(5.0) | {"count": torch.tensor(9)}
    found = between(start, end, 0.25)
    assert (float(found["weight"]), int(found["count"])) == (2.0, 9)


@pytest.mark.parametrize(("sign", "best"), [(1.0, 0.3), (-1.0, 1.0)])
def test_the_best_figure_chooses(sign: float, best: float) -> None:
    """The figure is the distance of the weight from 3, on the way from 0 to 10."""
    layer = nn.Linear(1, 1, bias=False)
    layer.load_state_dict(weight(10.0))
    found = blend(layer, weight(0.0), 4, lambda: abs(float(layer.weight.detach()) - 3), Monitor("far", sign))
    assert found.chosen == best
    assert float(layer.weight.detach()) == pytest.approx(10 * best)
    assert found.values == pytest.approx([abs(step - 3) for step in range(11)], abs=1e-5)


def test_of_equals_the_nearest_to_the_end_is_taken_to_the_bit() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.load_state_dict(weight(0.1))
    assert blend(layer, weight(0.7), 0, lambda: 1.0, Monitor("flat", -1.0)).chosen == 1.0
    assert torch.equal(layer.weight, weight(0.1)["weight"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend") / "run"
    train(ftlab.compose([*BASE, *WORDS, "blend=wise_ft"]), folder, splits(), tiny_backbone(0.0))
    return folder


def test_what_was_chosen_is_what_is_judged_and_bundled(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    told = report["blend"]
    chosen = told["values"][told["shares"].index(told["chosen"])]
    assert chosen == min(told["values"])  # the loss
    assert report["metrics"]["val"]["loss"] == pytest.approx(chosen, rel=1e-5)
    assert "Between start and end" in (run / "report.html").read_text()
    assert "of the way from the fitted head to epoch" in (run / "ftlab.log").read_text()


def test_the_start_is_the_pretrained_network_under_the_fitted_head(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    fitted = report["history"][0]["val"]["loss"]  # of the phase in closed form
    assert report["blend"]["values"][0] == pytest.approx(fitted, rel=0.02)


def test_the_bundle_lies_on_the_line_from_the_pretrained_network_to_the_checkpoint(run: Path) -> None:
    told = json.loads((run / "report.json").read_text())["blend"]
    name = "last.ckpt" if told["epoch"] == 2 else "best.ckpt"
    end = read_checkpoint(run / "checkpoints" / name)["state_dict"]["model.backbone.model.stem.conv.weight"]
    start = tiny_backbone(0.0).model.state_dict()["stem.conv.weight"]
    found = load_file(run / "bundle" / "model.safetensors")["stem.conv.weight"]
    assert not torch.equal(start, end)
    torch.testing.assert_close(found, start + told["chosen"] * (end - start))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["strategy=full", "trainer.max_epochs=2"], "use strategy.head_init=closed_form"),
        (["strategy=closed_form"], "use strategy.head_init=closed_form"),
        ([*WORDS, "refit=true"], "no refit=true"),
    ],
)
def test_without_a_start_or_a_judge_it_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=rf"blend=wise_ft: .*{said}"):
        parts_of(*words, "blend=wise_ft")
