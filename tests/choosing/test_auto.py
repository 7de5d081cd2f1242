"""ftlab auto from the command line."""

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import Command

QUICK = ("auto", "data=diabetes", "task=regression", "trainer.max_epochs=2", "subset=60", "hydra.sweep.dir=all")


def test_auto_leaves_a_page_an_experiment_file_and_a_link_to_the_best_run(command: Command) -> None:
    ended = command(*QUICK, "time=1s")  # which is over once the default has run
    assert ended.code == 0, ended.err
    assert "the plain default" in ended.out
    assert "no time was left for: head in closed form" in ended.out
    best = Path("all", "best")
    assert best.resolve() == Path("all", "0").resolve()
    assert (best / "bundle" / "bundle.json").is_file()
    experiment = yaml.safe_load(Path("all", "experiment", "best.yaml").read_text())
    assert experiment["trainer"] == {"max_epochs": 2}
    assert "What was not tried" in Path("all", "auto.html").read_text()
    again = command(*QUICK, "time=1s")
    assert again.code == 2
    assert "the same line with resume=auto goes on with it" in again.err
    for words in (("subset=80",), ("auto.samples=20",)):
        other = command(*QUICK, "time=1s", "resume=auto", *words)
        assert other.code == 2
        assert f"{words[0]}" in other.err
    assert command(*QUICK, "time=1s", "resume=auto").code == 0
    assert not Path("all", "1").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("time=10",), "time=10: expected a time like 90s, 10min or 1.5h"),
        (("optimizer.lr=1,2",), "several values need -m"),
        (("resume=all",), "goes on by resume=auto hydra.sweep.dir=DIR"),
        (("-m",), "a multirun is for train"),
        (("auto.backbnes=[a]",), "did you mean 'backbones'"),
    ],
)
def test_what_auto_does_not_take_is_refused_before_any_run(words: tuple[str, ...], said: str, command: Command) -> None:
    ended = command("auto", *words)
    assert ended.code == 2
    assert said in ended.err
    assert not list(Path().iterdir())


@pytest.mark.slow
def test_auto_is_never_behind_the_default_and_ranks_the_networks(command: Command) -> None:
    words = ("data=digits", "data.image_size=32", "subset=60", "trainer.max_epochs=5", "hydra.sweep.dir=all")
    ended = command("auto", *words, "time=90s")
    assert ended.code == 0, ended.err
    assert "tf_efficientnet_lite0: LogME" in ended.out
    journal = json.loads(Path("all", "auto.json").read_text())
    values = [
        json.loads(Path("all", str(step["job"]), "report.json").read_text())["objective"]["value"]
        for step in journal["steps"]
        if step["job"] is not None
    ]
    best = json.loads(Path("all", "best", "report.json").read_text())["objective"]["value"]
    assert len(values) > 1
    assert best == max(values) >= values[0]
