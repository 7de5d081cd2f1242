"""Keys that are `auto`: chosen once by measurement or device, told, kept, and not chosen again."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import ftlab
from ftlab.config import plainly
from ftlab.resume import as_begun, value_of, with_value
from ftlab.run import loaders, train
from ftlab.run_settings import typed
from ftlab.training.trials import automatic
from ftlab.training.trials.automatic import chosen, cores, precision, seconds_per_sample, workers
from tests.training.tiny import parts_of, splits, tiny_backbone

SMALL = ["data.image_size=8", "trainer.accelerator=cpu", "trainer.max_epochs=1", "strategy=full", "data.batch_size=8"]


def test_half_precision_is_chosen_only_on_a_gpu_that_computes_with_it() -> None:
    assert precision(on_gpu=True, has_bfloat16=True)[0] == "bf16-mixed"
    assert precision(on_gpu=True, has_bfloat16=False)[0] == "32-true"
    assert precision(on_gpu=False, has_bfloat16=False)[0] == "32-true"


@pytest.mark.parametrize(
    ("seconds", "samples", "here", "processes", "expected"),
    [
        (0.0001, 5000, 8, 1, 0),  # half a second an epoch
        (0.01, 5000, 8, 1, 8),
        (0.01, 5000, 64, 1, 8),  # no more are of use
        (0.01, 5000, 8, 2, 4),  # two processes share the cores
        (0.01, 5000, 1, 1, 0),
        (0.01, 5000, 2, 2, 0),
    ],
)
def test_workers_are_for_data_that_take_long_to_load(
    seconds: float, samples: int, here: int, processes: int, expected: int
) -> None:
    assert workers(seconds, samples, here, processes)[0] == expected


def test_loading_is_timed_through_the_transform_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, make_data = parts_of("strategy=full", "data.batch_size=8")
    clock = iter([5.0, 5.8])
    monkeypatch.setattr(automatic.time, "perf_counter", lambda: next(clock))
    assert seconds_per_sample(make_data()) == pytest.approx(0.8 / 16)  # two batches of 8


def test_there_is_a_core() -> None:
    assert cores() >= 1


def test_a_choice_is_told_and_leaves_no_auto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "QUICK", 0.0)
    monkeypatch.setattr(automatic, "cores", lambda: 3)
    given = ["strategy=full", "data.batch_size=auto", "data.num_workers=auto", "trainer.precision=auto"]
    parts, settings, _ = parts_of(*given)
    found, lines = chosen(parts, settings.written.config, tmp_path, partial(loaders, parts))
    assert found["trainer"]["precision"] == "32-true"
    assert found["data"]["num_workers"] == 3
    assert found["data"]["batch_size"] == 32
    assert [line.split(";")[0] for line in lines] == [
        "trainer.precision=auto: 32-true",
        "data.num_workers=auto: 3",
        "data.batch_size=auto: 32",
        "compile=auto: off",
    ]
    assert "3 cores" in lines[1]


def test_what_was_typed_is_nobodys_choice(tmp_path: Path) -> None:
    parts, settings, _ = parts_of(
        *("strategy=full", "trainer.max_epochs=2", "data.num_workers=1", "trainer.precision=bf16-mixed", "compile=off")
    )
    assert chosen(parts, settings.written.config, tmp_path, partial(loaders, parts)) == (settings.written.config, [])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("automatic") / "run"
    config = ftlab.compose(["data.num_workers=auto", *SMALL])
    return folder, train(config, folder, splits(), tiny_backbone())


def test_the_default_run_says_which_precision_it_has_and_why(begun: Any) -> None:
    folder, report = begun
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    assert stored["trainer"]["precision"] == report["config"]["trainer"]["precision"] == "32-true"
    assert stored["data"]["num_workers"] == 0
    assert "trainer.precision=auto: 32-true; fewer digits gain nothing without a GPU" in report["automatic"]


def test_a_resumed_run_keeps_its_precision_where_another_would_be_chosen_now(
    begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = begun
    monkeypatch.setattr(automatic, "precision", lambda *_: ("bf16-mixed", "another machine"))
    (folder / "report.json").unlink()
    for made in (folder / "bundle").iterdir():
        made.unlink()
    (folder / "bundle").rmdir()
    changed = ["trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]", f"resume={folder}"]
    kept = [word for word in SMALL if "epochs" not in word]
    report = train(ftlab.compose(["data.num_workers=auto", *kept, *changed]), data=splits(), backbone=tiny_backbone())
    assert report["config"]["trainer"]["precision"] == "32-true"
    assert report["automatic"] == [
        "trainer.precision=auto: 32-true; as the run began",
        "data.num_workers=auto: 0; as the run began",
        "compile=auto: off; as the run began",
    ]


def test_what_no_run_writes_is_not_taken_from_its_folder() -> None:
    settings = {"trainer": {"precision": "auto"}, "data": {"num_workers": "auto", "batch_size": 4}}
    evil = {"trainer": {"precision": "128-true"}, "data": {"num_workers": -3, "batch_size": 8}}
    assert as_begun(evil, settings) == settings
    good = with_value(with_value(settings, "trainer.precision", "16-mixed"), "data.num_workers", 2)
    assert as_begun(good, settings) == good
    assert value_of(as_begun({}, settings), "trainer.precision") == "auto"


@pytest.mark.parametrize("there", [True, False])
def test_the_device_is_asked_only_where_a_gpu_may_be_used(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    for accelerator, expected in (("auto", "bf16-mixed"), ("gpu", "bf16-mixed"), ("cpu", "32-true")):
        settings = typed(plainly(ftlab.compose([f"trainer.accelerator={accelerator}"]), resolve=True))
        found, _ = automatic._precision(None, settings, None)  # type: ignore[arg-type]
        assert found == (expected if there else "32-true")
