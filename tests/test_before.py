"""What ftlab 0.1.0 wrote at commit 51ecada, before classes moved, is read, evaluated and resumed.

tests/before/ holds two bundles and the folder of a run that got Ctrl-C, all of tiny tables, made there by

    ftlab train data=table data.root=. data.file=rows.csv data.label_column=kind backbone.width=8 backbone.embedding=4
        backbone.depth=1 trainer.accelerator=cpu                                   (classes: trainer.max_epochs=2; run:
        data.batch_size=8 strategy=full compile=off trainer.max_epochs=400, Ctrl-C in epoch 2)
    ftlab train task=regression data=diabetes backbone.width=8 backbone.depth=1 trainer.max_epochs=2    (numbers)

figures.json are what `ftlab evaluate` said there, resumed.safetensors the weights of
`ftlab train resume=run trainer.max_epochs=6 'resume_allow=[trainer.max_epochs]'`.
"""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

import ftlab
from ftlab.addresses import MOVED
from ftlab.cli import main
from ftlab.config import _locate
from tests.conftest import ROOT

BEFORE = ROOT / "tests" / "before"
ROWS = ["data=table", "data.root=.", "data.file=rows.csv", "data.label_column=kind", "split=train"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with all of it."""
    shutil.copytree(BEFORE, tmp_path / "before")
    monkeypatch.chdir(tmp_path / "before")
    return tmp_path / "before"


@pytest.mark.parametrize(
    ("bundle", "data"), [("classes", ROWS), ("numbers", ["data=diabetes", "split=test"]), ("numbers", ["split=test"])]
)
def test_a_bundle_of_before_has_the_figures_that_it_had(here: Path, bundle: str, data: list[str]) -> None:
    assert main(["evaluate", f"bundle={bundle}", *data, "output=found.json"]) == 0
    found = json.loads((here / "found.json").read_text())["metrics"]
    assert found == pytest.approx(json.loads((here / "figures.json").read_text())[bundle], rel=1e-5)


def test_a_bundle_of_before_predicts(here: Path) -> None:
    records = ftlab.load(here / "classes").predict([{"size": -1.0, "colour": "red"}, {"size": 5.0, "colour": "green"}])
    assert [record["class"] for record in records] == ["small", "big"]


def test_a_run_of_before_goes_on_to_the_weights_that_it_would_have_had(here: Path) -> None:
    assert "ftlab.data.table.Table" in (here / "run" / "config.yaml").read_text()
    allowed = ["trainer.max_epochs=6", "resume_allow=[trainer.max_epochs]"]
    assert main(["train", "resume=run", *allowed]) == 0
    found, expected = load_file(here / "run/bundle/model.safetensors"), load_file(here / "resumed.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].numpy() == pytest.approx(tensor.numpy(), abs=1e-5), name


def test_a_yaml_file_of_ones_own_with_an_old_address_still_works(here: Path, capsys: pytest.CaptureFixture) -> None:
    (here / "conf" / "data").mkdir(parents=True)
    own = "_target_: ftlab.data.digits.Digits\nsplit: [0.1, 0.05, 0.85]\nimage_size: 32\ncrop_pct: null\n"
    loading = "batch_size: 8\nnum_workers: 0\ncheck: 'off'\non_error: stop\n"
    (here / "conf" / "data" / "mine.yaml").write_text(own + loading)
    assert main(["plan", "--config-dir", "conf", "data=mine", "backbone.pretrained=false"]) == 0
    assert "head" in capsys.readouterr().out


@pytest.mark.parametrize("old", MOVED)
def test_every_old_address_leads_to_something(old: str) -> None:
    assert callable(_locate(MOVED[old], ["ftlab"]))
