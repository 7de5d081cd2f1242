"""One's own head in one's own module: named by trusted_modules, from training to prediction; else refused."""

from pathlib import Path

import pytest

import ftlab
from ftlab.cli import main

HEAD = """
from ftlab.heads.linear import Linear

class Mine(Linear):
    def __init__(self, num_features, num_outputs, default_pool, gain=1.0):
        super().__init__(num_features, num_outputs, default_pool)
        self.gain = gain
"""
SMALL = ["subset=40", "data.split=[0.9,0.05,0.05]", "data.image_size=32", "strategy=full", "trainer.max_epochs=1"]
SMALL += ["backbone.name=resnet10t", "backbone.pretrained=false", "trainer.accelerator=cpu"]
TRUST = "trusted_modules=[my_own_heads]"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "my_own_heads.py").write_text(HEAD)
    (folder / "conf" / "head").mkdir(parents=True)
    (folder / "conf" / "head" / "mine.yaml").write_text("_target_: my_own_heads.Mine\ngain: 2.0\n")
    return folder


@pytest.fixture
def importable(place, monkeypatch):
    monkeypatch.syspath_prepend(str(place))


def test_an_own_head_trains_and_predicts_where_its_module_is_trusted(place, importable, capsys):
    words = [f"--config-dir={place / 'conf'}", "head=mine", *SMALL, f"hydra.run.dir={place / 'run'}"]
    assert main(["train", *words, TRUST]) == 0, capsys.readouterr().err
    predictor = ftlab.load(place / "run" / "bundle", trusted_modules=["my_own_heads"])
    assert predictor.model.head.gain == 2.0
    assert main(["evaluate", f"bundle={place / 'run' / 'bundle'}", TRUST]) == 0
    with pytest.raises(ftlab.UserError, match="my_own_heads"):
        ftlab.load(place / "run" / "bundle")  # the bundle alone cannot make its code run


def test_an_own_head_is_refused_where_its_module_is_not_trusted(place, importable, capsys):
    assert main(["train", f"--config-dir={place / 'conf'}", "head=mine", *SMALL]) == 2
    assert "trusted_modules" in capsys.readouterr().err
