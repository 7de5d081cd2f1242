"""TensorBoard's HPARAMS tab has a row for each run: read back as TensorBoard reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.util.tensor_util import make_ndarray

from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.reports.hparams import option, write_hparams
from tests.conftest import Command


class Board:
    """What TensorBoard finds below a folder."""

    def __init__(self, folder: Path) -> None:
        self.events = EventMultiplexer()
        self.events.AddRunsFromDirectory(str(folder))
        self.events.Reload()
        provider = MultiplexerDataProvider(self.events, str(folder))
        board, request = Context(TBContext(data_provider=provider)), RequestContext()
        found = board.hparams_metadata(request, "")
        self.settings = {run: self._settings(tags[metadata.SESSION_START_INFO_TAG]) for run, tags in found.items()}
        self.experiment = board.experiment_from_metadata(request, "", True, found, [])

    def _settings(self, content: bytes) -> dict[str, Any]:
        values = metadata.parse_session_start_info_plugin_data(content).hparams
        return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}

    def figure(self, run: str, tag: str) -> list[float]:
        return [float(make_ndarray(event.tensor_proto)) for event in self.events.Tensors(run, tag)]


def of(value: float | None, *words: str) -> dict[str, Any]:
    return {
        "config": plainly(compose(words), resolve=True),
        "objective": {"name": "accuracy", "value": value},
        "metrics": {"val": {"accuracy": value, "recall/cat": 0.5}, "test": {"accuracy": 0.75, "auroc": None}},
    }


def test_a_row_holds_options_by_their_names_values_by_their_keys_and_the_final_figures(tmp_path: Path) -> None:
    words = ("strategy=full", "optimizer.lr=0.25", "augment=light", "data.split=[0.5,0.25,0.25]", "backbone.until=x")
    write_hparams(of(0.5, *words, "subset=20/class", "trusted_modules=[mine]"), tmp_path)
    board = Board(tmp_path)
    (found,) = board.settings.values()
    expected = {
        "strategy": "full",
        "augment": "light",
        "backbone": "timm",
        "optimizer.lr": 0.25,
        "trainer.max_epochs": "auto",
    }
    expected |= {"data.split": "[0.5, 0.25, 0.25]", "backbone.until": "x", "subset": "20/class", "seed": 0}
    expected |= {"backbone.pretrained": "True", "head.dropout": 0}
    assert {key: found[key] for key in expected} == expected
    assert not found.keys() & {"resume", "trusted_modules", "plan.detail", "early_stopping.patience"}
    (run,) = board.settings
    assert board.figure(run, "final/objective") == [0.5]
    shown = [info.name.tag for info in board.experiment.metric_infos]
    assert shown == ["final/objective", "final/test/accuracy", "final/val/accuracy"]  # undefined and single ones: none


def test_an_option_of_ones_own_is_named_by_its_class_and_one_of_several_that_fit_by_its_keys() -> None:
    assert option("head", {"_target_": "my_heads.Deep"}) == "my_heads.Deep"
    light = plainly(compose(["augment=light"]).augment)
    assert option("augment", light) == "light"
    assert option("augment", {**light, "rotation": 77}) == "ftlab.inputs.augment.Augment"


def test_a_run_that_went_on_has_one_row_with_what_it_ended_with(tmp_path: Path) -> None:
    write_hparams(of(0.5, "seed=1"), tmp_path)
    write_hparams(of(0.25, "seed=2"), tmp_path)
    board = Board(tmp_path)
    ((run, found),) = board.settings.items()
    assert found["seed"] == 2
    assert board.figure(run, "final/objective") == [0.25]


def test_a_run_without_a_judge_has_a_row_too(tmp_path: Path) -> None:
    write_hparams({**of(None), "metrics": {}}, tmp_path)
    board = Board(tmp_path)
    (run,) = board.settings
    assert board.figure(run, "final/objective") == [pytest.approx(float("nan"), nan_ok=True)]


def test_each_job_of_a_multirun_has_its_own_and_one_that_goes_on_renews_it(command: Command) -> None:
    words = ("task=regression", "data=diabetes", "strategy=full", "trainer.accelerator=cpu", "trainer.max_epochs=1")
    assert command("train", "-m", *words, "optimizer.lr=0.001,0.01", "hydra.sweep.dir=m").code == 0
    longer = ("trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]")
    assert command("train", "resume=m/1", *longer).code == 0
    board = Board(Path("m"))
    rows = {run.split("/")[0]: found for run, found in board.settings.items()}
    assert {job: (row["optimizer.lr"], row["trainer.max_epochs"]) for job, row in rows.items()} == {
        "0": (0.001, 1), "1": (0.01, 2),
    }  # fmt: skip
    assert {info.name for info in board.experiment.hparam_infos if info.differs} == {
        "optimizer.lr",
        "trainer.max_epochs",
    }
    for run in board.settings:
        report = json.loads(Path("m", run.split("/")[0], "report.json").read_text())
        assert board.figure(run, "final/objective") == [pytest.approx(report["objective"]["value"])]
