"""Where the figures of a run go: trackers by name, several at once, and none that can end a run."""

import csv
import json
from pathlib import Path

import pytest
from rich.console import Console

from ftlab.errors import UserError
from ftlab.training.tracking.base import needs
from ftlab.training.tracking.guarded import Guarded
from ftlab.training.tracking.mlflow import Mlflow
from tests.conftest import Command

RUN = ("train", "data=diabetes", "task=regression", "subset=60", "trainer.max_epochs=3", "hydra.run.dir=run")


def test_what_is_not_named_is_not_written(command: Command) -> None:
    assert command(*RUN, "logger=tensorboard").code == 0
    assert not Path("run", "metrics.csv").exists()
    assert list(Path("run", "tensorboard").glob("events.*"))
    assert command(*RUN[:-1], "hydra.run.dir=other", "logger=[]").code == 0
    assert not Path("other", "metrics.csv").exists()
    assert not Path("other", "tensorboard").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the test's own client, between MLflow and SQLAlchemy
def test_mlflow_has_settings_figures_phases_report_and_bundle_and_a_run_goes_on_in_its_own(command: Command) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    ended = command(*RUN, "logger=[csv,mlflow]")
    assert ended.code == 0, ended.err
    assert "WARNING" not in ended.err + ended.out
    store = mlflow.tracking.MlflowClient("sqlite:///mlflow.db")
    (experiment,) = store.search_experiments(filter_string="name = 'ftlab'")
    (run,) = store.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert (run.data.params["trainer.max_epochs"], run.data.params["optimizer.lr"]) == ("3", "0.001")
    phases = json.loads(Path("run", "report.json").read_text())["phases"]
    expected = [f"{phase['name']} from epoch {phase['first_epoch'] + 1}" for phase in phases]
    assert [run.data.tags[f"phase.{place + 1}"] for place in range(len(phases))] == expected
    rows = list(csv.DictReader(Path("run", "metrics.csv").read_text().splitlines()))
    history = store.get_metric_history(run.info.run_id, "val/r2")
    column = next(name for name in rows[0] if name.replace("_", "/") == "val/r2")
    assert [one.value for one in history] == pytest.approx([float(row[column]) for row in rows], rel=1e-5)
    report = json.loads(Path("run", "report.json").read_text())
    assert run.data.metrics["final/test/r2"] == report["metrics"]["test"]["r2"]
    kept = {one.path for one in store.list_artifacts(run.info.run_id)}
    assert kept == {"bundle", "report.html", "report.json"}
    more = ("resume=run", "trainer.max_epochs=4", "resume_allow=[trainer.max_epochs]", "logger=[csv,mlflow]")
    assert "warning: logger" not in command("train", *more).out
    (again,) = store.search_runs([experiment.experiment_id])
    assert again.info.run_id == run.info.run_id
    assert [one.step for one in store.get_metric_history(run.info.run_id, "val/r2")] == [0, 1, 2, 3]


def test_a_tracker_that_fails_is_a_warning_and_the_run_goes_on(command: Command) -> None:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    ended = command(*RUN, "logger=[csv,mlflow]", "logger.mlflow.uri=nowhere://here")
    assert ended.code == 0, ended.err
    assert ended.out.count("warning: logger=mlflow: ") == 2  # when it fails, and once more at the end of the run
    (told,) = [w for w in json.loads(Path("run", "report.json").read_text())["warnings"] if "logger=mlflow" in w]
    assert "it is told nothing more of this run" in told
    assert len(Path("run", "metrics.csv").read_text().splitlines()) == 4


def test_wandb_offline_leaves_its_files_in_the_folder_of_the_run(command: Command) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    ended = command(*RUN, "logger=wandb")
    assert ended.code == 0, ended.err
    assert "wandb" not in ended.err
    assert list(Path("run", "wandb").glob("offline-run-*/*.wandb"))
    assert json.loads(Path("run", "trackers.json").read_text())["wandb"]


def test_a_tracker_whose_package_is_missing_names_its_extra_before_the_run(command: Command) -> None:
    with pytest.raises(UserError, match=r"logger=wandb: needs the package no_such_package; pip install 'ftlab\[wandb"):
        needs("wandb", "no_such_package", "wandb")
    ended = command(*RUN, "logger=[csv,mlfow]")
    assert ended.code == 2
    assert "did you mean 'mlflow'" in ended.err


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # between MLflow and SQLAlchemy
def test_mlflow_takes_settings_in_whose_names_are_those_of_classes(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    logger = Guarded(Mlflow(f"sqlite:///{tmp_path}/own.db", "own"), tmp_path, Console(quiet=True))
    logger.open({"task.class_weights.cat (big)": 2.0, "seed": 0}, goes_on=False)
    assert logger.failed is None
    run = logger.inner.experiment.get_run(logger.inner.run_id)  # type: ignore[union-attr, attr-defined]
    assert run.data.params == {"task.class_weights.cat _big_": "2.0", "seed": "0"}
