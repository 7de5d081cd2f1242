"""head=sklearn from the command line: fitted, evaluated, reported and used like any other head."""

import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits

from ftlab.cli import main
from ftlab.errors import UserError
from ftlab.predictor import load
from tests.conftest import Command
from tests.data.pictures import write_image

SMALL = ["data.image_size=32", "subset=60", "trainer.accelerator=cpu", "head=sklearn"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sklearn") / "run"
    words = ["head.estimator=random_forest", "head.settings={n_estimators: 20}", "strategy=closed_form"]
    assert main(["train", *SMALL, *words, f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def report(run: Path) -> dict[str, Any]:
    return json.loads((run / "report.json").read_text())


def test_the_report_is_like_any_other(report: dict[str, Any]) -> None:
    assert report["head"] == "sklearn"
    assert report["metrics"]["test"]["accuracy"] > 0.4  # chance is 0.1
    assert report["history"][0]["convex"] == {"estimator": "random_forest", "converged": True}
    assert report["phases"][0]["trainable_parameters"] == 0


def test_evaluate_gives_the_figures_of_the_run(run: Path, report: dict[str, Any], tmp_path: Path) -> None:
    words = [f"bundle={run / 'bundle'}", "split=test", f"output={tmp_path / 'test.json'}"]
    assert main(["evaluate", *words]) == 0
    found = json.loads((tmp_path / "test.json").read_text())["metrics"]
    assert found == pytest.approx(report["metrics"]["test"], abs=1e-6)


def test_the_bundle_predicts(run: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (200, 10, 10))
    (record,) = load(run / "bundle").predict([tmp_path / "a.png"])
    assert record["class"] in [str(label) for label in load_digits().target_names]
    assert 0 < record["probability"] <= 1


def test_a_bundle_whose_learner_was_changed_is_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(run / "bundle", tmp_path / "bundle")
    weights = load_file(tmp_path / "bundle" / "model.safetensors")
    weights["ftlab_head.fc._extra_state"] = weights["ftlab_head.fc._extra_state"][:-1000].clone()
    save_file(weights, tmp_path / "bundle" / "model.safetensors")
    with pytest.raises(UserError, match=r"head.estimator=random_forest: what is stored cannot be read safely"):
        load(tmp_path / "bundle")


@pytest.mark.slow
def test_two_processes_fit_the_learner_that_one_does(command: Command) -> None:
    """Nothing has a gradient, which DDP refuses to wrap; the report is made of what rank 0 has sent."""
    words = ["train", *SMALL, "head.estimator=knn", "strategy=closed_form", "data.split=[0.9,0.05,0.05]"]
    assert command(*words, "hydra.run.dir=one").code == 0
    two = command(*words, "hydra.run.dir=two", "trainer.devices=2", "trainer.strategy=ddp")
    assert two.code == 0, two.err
    found = [json.loads(Path(name, "report.json").read_text()) for name in ("one", "two")]
    assert found[0]["metrics"]["test"]["accuracy"] > 0.4  # chance is 0.1
    assert found[1]["metrics"]["test"] == pytest.approx(found[0]["metrics"]["test"], abs=1e-5)
    assert "Traceback" not in Path("two", "process-1.log").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "follows no gradient; use strategy=closed_form"),
        (["strategy=closed_form", "task.label_smoothing=0.1"], "reads neither"),
        (["strategy=closed_form", "strategy.C=2"], "strategy.C"),
    ],
)
def test_what_nothing_would_read_is_an_error(command: Command, words: list[str], said: str) -> None:
    ended = command("plan", *SMALL, *words)
    assert ended.code == 2
    assert said in ended.err
