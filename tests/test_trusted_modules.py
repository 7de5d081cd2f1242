"""One's own head in one's own module: named by trusted_modules, from training to prediction; else refused."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

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


TASK = """
from dataclasses import replace

from ftlab.blocks import Axes, Bars, Chart, Heading, Table
from ftlab.tasks.classification import Classification

class Counted(Classification):
    worst_title = "Digits that fooled it"

    def section(self, diagnosis, split):
        return {"answers": {"split": split, "counts": diagnosis.matrix.sum(dim=0).tolist()}}

    def drawn(self, sample, worst):
        mark = int(255 * worst["answer"][worst["target"]])  # the truth's probability as a shade
        image = sample.image.resize((8, 8))
        image.paste((mark, mark, mark), (0, 0, 8, 8))
        return replace(sample, image=image, note=f"truth {mark}")

    def blocks(self, report):
        counts = report["answers"]["counts"]
        bars = Axes([Bars(counts)], places=self.classes, y="answers")
        return [
            Heading("How often each class is the answer", level=2),
            Chart([bars], "Answers of each class"),
            Table(["class", "answers"], list(zip(self.classes, counts))),
        ]
"""


def test_an_own_task_has_a_section_of_its_own_in_the_page(place, importable, capsys):
    (place / "my_own_tasks.py").write_text(TASK)
    words = ["task._target_=my_own_tasks.Counted", *SMALL, f"hydra.run.dir={place / 'counted'}"]
    assert main(["train", *words, "trusted_modules=[my_own_tasks]"]) == 0, capsys.readouterr().err
    counts = json.loads((place / "counted" / "report.json").read_text())["answers"]["counts"]
    page = (place / "counted" / "report.html").read_text()
    assert "<h2>How often each class is the answer</h2>" in page
    assert f"<tr><td>0</td><td>{counts[0]}</td></tr>" in page
    assert 'aria-label="Answers of each class"' in page
    assert "<h2>Digits that fooled it</h2>" in page
    assert "Confusion, " not in page
    fooled = page.partition("<h2>Digits that fooled it</h2>")[2].partition("<h2>")[0]
    assert fooled.count("<img ") == fooled.count("</b> truth ") > 0
    shade = int(re.search("</b> truth ([0-9]+)", page)[1])
    picture = base64.b64decode(re.search('src="data:image/png;base64,([^"]+)"', page)[1])
    assert Image.open(io.BytesIO(picture)).convert("RGB").getpixel((0, 0)) == pytest.approx((shade,) * 3, abs=1)
