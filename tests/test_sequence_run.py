"""Sequences from the command line: a forecast of a long series, classes of words, bundles, what is wrong."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from ftlab.cli import main
from ftlab.predictor import load
from tests.conftest import Command

Row = dict[str, Any]
STEPS, WINDOW = 400, 12
SMALL = ["backbone.width=16", "backbone.heads=2", "backbone.dropout=0.0", "trainer.accelerator=cpu"]
FORECAST = ["task=regression", "data=sequence", "data.file=tide.csv", "data.time_column=hour", "data.order=time",
            "data.target_columns=[level]", f"data.window={WINDOW}", "data.horizon=2", *SMALL]  # fmt: skip
WORDS = ["data=sequence", "data.file=texts.csv", "data.series_column=text", "data.token_column=word",
         "data.label_column=kind", *SMALL]  # fmt: skip


def level(hour: int) -> float:
    return 200 + 50 * math.sin(hour / 3)


def write_files(folder: Path) -> None:
    rows = [f"{hour},{level(hour):.4f},{hour % 24}" for hour in range(STEPS)]
    (folder / "tide.csv").write_text(
        "\n".join(["hour,level,clock", *reversed(rows), ""])
    )  # the file need not be in order
    generator = np.random.default_rng(0)
    rows = []
    for text in range(120):
        kind = "good" if text % 2 else "bad"
        words = generator.choice(["the", "a", "so"], size=generator.integers(2, 9)).tolist()
        words.append(f"{kind}ness")
        rows += [f"t{text},{word},{kind}" for word in generator.permutation(words)]
    (folder / "texts.csv").write_text("\n".join(["text,word,kind", *rows, ""]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files, a run that forecasts, and one that tells texts apart."""
    folder = tmp_path_factory.mktemp("sequences")
    write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        more = ["trainer.max_epochs=8", "optimizer.lr=0.003", "hydra.run.dir=tide"]
        assert main(["train", *FORECAST, *more]) == 0
        more = ["trainer.max_epochs=3", "optimizer.lr=0.01", "data.batch_size=16", "hydra.run.dir=texts"]
        assert main(["train", *WORDS, *more]) == 0
    return folder


def report(place: Path, run: str) -> Row:
    return json.loads((place / run / "report.json").read_text())


def test_a_forecast_is_far_better_than_the_mean(place: Path) -> None:
    found = report(place, "tide")
    assert found["metrics"]["test"]["r2"] > 0.9  # the mean has 0
    assert found["data"]["sizes"]["train"] == 280 - WINDOW - 1
    lost = 2 * (WINDOW + 1)
    assert f"{lost} of {STEPS - WINDOW - 1} windows lie across the border of two splits; left out" in str(found["data"])


def test_a_file_is_predicted_window_by_window_up_to_its_last_row(place: Path, command: Command) -> None:
    with open("new.csv", "w", newline="") as stream:  # without any target behind its end
        csv.writer(stream).writerows([["hour", "level", "clock"], *([h, level(h), h % 24] for h in range(900, 920))])
    ended = command("predict", f"bundle={place / 'tide' / 'bundle'}", "input=new.csv", "accelerator=cpu")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["rows"] for line in lines] == [[row, row + WINDOW - 1] for row in range(2, 21 - WINDOW + 2)]
    for line in lines:
        assert line["level"] == pytest.approx(level(900 + line["rows"][1] - 2 + 2), abs=25), line
    assert f"{len(lines)} of {len(lines)} sequences predicted" in ended.err
    hours = range(900, 900 + WINDOW)
    (record,) = load(place / "tide" / "bundle", accelerator="cpu").predict(
        np.array([[level(h), h % 24] for h in hours])
    )
    assert record["level"] == pytest.approx(lines[0]["level"], rel=1e-5)


def test_a_window_across_a_gap_in_time_is_left_out_and_counted_in_training_and_after(
    place: Path, command: Command
) -> None:
    hours = [*range(900, 900 + WINDOW), *range(901 + WINDOW, 901 + 2 * WINDOW)]
    rows = [[hour, level(hour), hour % 24] for hour in hours]
    with open("new.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["hour", "level", "clock"], *rows])
    ended = command("predict", f"bundle={place / 'tide' / 'bundle'}", "input=new.csv", "accelerator=cpu")
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["rows"][0] for line in lines] == [2, 2 + WINDOW]
    assert all("level" in line for line in lines)
    gap = f"2 between rows {1 + WINDOW} and {2 + WINDOW}"
    assert f"{WINDOW - 1} windows cross a gap in time (for example {gap}) and are left out" in ended.err
    assert "2 of 2 sequences predicted" in ended.err

    words = ["plan", *FORECAST, "data.file=new.csv", "data.window=3", "data.split=[1,0,0]"]
    ended = command(*words)
    assert ended.code == 0, ended.err
    # Windows of 3 and a target 2 steps behind them reach over 5 rows: 4 of them would have the gap inside.
    told = f"4 windows cross a gap in time (for example 2 between rows {1 + WINDOW} and {2 + WINDOW}) and are left out"
    assert told in " ".join((ended.out + ended.err).split())
    asked = words[1:]
    ended = command("check", *asked)
    assert told in " ".join((ended.out + ended.err).split())
    assert "cross a gap" not in command("check", *asked, "data.gaps=keep").out
    assert "did you mean 'drop'" in command(*words, "data.gaps=dorp").err


def test_words_tell_classes_apart_and_python_gives_lists(place: Path) -> None:
    assert report(place, "texts")["metrics"]["test"]["accuracy"] == 1.0
    predictor = load(place / "texts" / "bundle", accelerator="cpu")
    found = predictor.predict([["the", "goodness"], ["so", "a", "never seen", "badness", "the"]])
    assert [record["class"] for record in found] == ["good", "bad"]
    assert predictor.predict(["the", "goodness"])[0]["probability"] == pytest.approx(found[0]["probability"], abs=1e-6)


def test_a_sequence_that_is_wrong_costs_its_own_line(place: Path, command: Command) -> None:
    Path("new.csv").write_text("text,word\n1,the\n1,goodness\n2,\n3,badness\n")
    ended = command("predict", f"bundle={place / 'texts' / 'bundle'}", "input=new.csv", "accelerator=cpu")
    assert ended.code == 2
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [(line.get("series"), line.get("class")) for line in lines] == [("1", "good"), ("3", "bad"), (None, None)]
    assert "new.csv, row 4, column word: the token is missing" in lines[2]["error"]
    Path("new.csv").write_text("text,words\n1,the\n")
    ended = command("predict", f"bundle={place / 'texts' / 'bundle'}", "input=new.csv", "accelerator=cpu")
    assert ended.code == 2
    assert "did you mean 'words'" in ended.err


def test_evaluating_the_bundle_gives_the_runs_own_metrics(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)  # the files are named as in the run, from its folder
    for run in ("tide", "texts"):
        ended = command("evaluate", f"bundle={run}/bundle", "accelerator=cpu", f"output={run}.json")
        assert ended.code == 0, ended.err
        found = json.loads(Path(f"{run}.json").read_text())["metrics"]
        for name, value in report(place, run)["metrics"]["test"].items():
            assert found[name] == (value if value is None else pytest.approx(value, rel=1e-4, abs=1e-5)), name


@pytest.mark.parametrize("strategy", ["progressive", "closed_form", "lp_ft", "partial"])
def test_the_strategies_of_images_work_on_sequences(place: Path, command: Command, strategy: str) -> None:
    words = [f"data.root={place}", "subset=40", f"strategy={strategy}", "trainer.max_epochs=4", "rates=layer_decay"]
    weights = f"backbone.weights={place / 'texts' / 'bundle'}"
    ended = command("train", *WORDS, *words, weights, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert "kept: 28 tensors" in ended.out + ended.err
    found = json.loads(Path("run/report.json").read_text())
    assert [stage["address"] for stage in found["stages"]] == [
        "backbone/embedding", "backbone/layer1", "backbone/layer2", "head/fc",
    ]  # fmt: skip
    assert found["metrics"]["test"]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.window=500"], "tide.csv, row 401: a window of 500 steps and a target 2 steps on is empty"),
        (["data.target_columns=[levle]"], "did you mean 'level'"),
        (["data.order=random"], "use data.order=time"),
        (["head.pool=flatten"], "head.pool=flatten: this backbone pools by itself"),
        (["augment=light"], "augment: sequences are not varied"),
        (["data.window=0"], "data.window=0: expected a whole number above 0 or null"),
        (["data.order=tiem"], "did you mean 'time'"),
        (["backbone.heads=3"], "backbone.heads=3: must divide backbone.width=16"),
    ],
)
def test_what_does_not_fit_ends_with_exit_code_2_and_says_why(
    place: Path, command: Command, words: list[str], message: str
) -> None:
    ended = command("plan", *FORECAST, f"data.root={place}", *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_network_for_other_inputs_is_refused(place: Path, command: Command) -> None:
    words = [word for word in WORDS if not word.startswith("backbone.")]
    for name, kind in (("timm", "image"), ("table", "table")):
        ended = command("plan", *words, f"data.root={place}", f"backbone={name}")
        assert ended.code == 2
        assert f"takes inputs of the kind '{kind}'" in ended.err
        assert "use backbone=sequence" in ended.err


def test_check_lists_what_is_wrong_with_sequences(place: Path, command: Command) -> None:
    text = (place / "texts.csv").read_text().replace("t0,the", "t0,", 1).replace("t7,so,good", "t7,so,bad", 1)
    Path("texts.csv").write_text(text)
    ended = command("check", *WORDS[:5], "output=found.json")
    assert ended.code == 2
    found = json.loads(Path("found.json").read_text())
    assert {problem["kind"] for problem in found["problems"] if problem["severity"] == "error"} <= {
        "rows lack a token", "rows of one sequence have targets that differ",
    }  # fmt: skip
    assert sum(found["sizes"].values()) < 120


def test_a_spoiled_preprocessing_is_an_error_of_the_bundle(place: Path, command: Command) -> None:
    described = json.loads((place / "texts" / "bundle" / "bundle.json").read_text())
    assert described["preprocessing"]["kind"] == "sequence"
    assert {"goodness", "badness", "the"} <= set(described["preprocessing"]["vocabulary"])
    described["preprocessing"]["max_length"] = -1
    Path("bundle").mkdir()
    Path("bundle/bundle.json").write_text(json.dumps(described))
    ended = command("predict", "bundle=bundle", "input=x.csv", "accelerator=cpu")
    assert ended.code == 2
    assert "not a bundle's description: preprocessing" in ended.err


def test_the_first_epoch_is_ridge_on_all_steps_and_the_layers_add_nothing_to_it(place: Path, command: Command) -> None:
    ended = command("train", *FORECAST, f"data.root={place}", "strategy=closed_form", "hydra.run.dir=ridge")
    assert ended.code == 0, ended.err
    weight = load_file("ridge/bundle/model.safetensors")["ftlab_head.fc.weight"]
    assert weight.shape == (1, 2 * WINDOW + 16)
    assert (weight[:, 2 * WINDOW :] == 0).all()
    assert (weight[:, : 2 * WINDOW] != 0).all()


def test_windows_that_drift_are_seen_from_their_last_step_and_a_bundle_remembers_it(
    tmp_path: Path, command: Command
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, 400)
    rows = [f"{h},{3 * math.sin(h / 5) + math.exp(h / 100) + noise[h]:.4f}" for h in range(250)]
    Path("tide.csv").write_text("\n".join(["hour,level", *rows, ""]))
    ended = command("train", *FORECAST, "trainer.max_epochs=2", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert "data.level=auto: last" in ended.out
    described = json.loads(Path("run/bundle/bundle.json").read_text())
    assert described["preprocessing"]["levels"] == described["backbone"]["levels"] == [0]
    ended = command("evaluate", "bundle=run/bundle", "accelerator=cpu", "output=found.json")
    found, test = json.loads(Path("found.json").read_text())["metrics"], report(Path(), "run")["metrics"]["test"]
    assert found["r2"] == pytest.approx(test["r2"], abs=1e-4)
    assert (
        "data.level=last: is of sequences of numbers"
        in command("plan", *FORECAST, "data.level=last", "data.whole=false").err
    )


def test_step_by_step_is_the_network_of_before(place: Path, command: Command) -> None:
    ended = command(
        "train", *FORECAST, f"data.root={place}", "data.whole=false", "trainer.max_epochs=1", "hydra.run.dir=steps"
    )
    assert ended.code == 0, ended.err
    names = load_file("steps/bundle/model.safetensors").keys()
    assert {"embedding.positions.weight", "embedding.series.weight"} <= names
    described = json.loads(Path("steps/bundle/bundle.json").read_text())
    before = {key: value for key, value in described["preprocessing"].items() if key not in ("length", "levels")}
    Path("steps/bundle/bundle.json").write_text(json.dumps({**described, "preprocessing": before}))  # as one of before
    hours = np.array([[level(h), h % 24] for h in range(900, 900 + WINDOW)])
    assert "level" in load("steps/bundle", accelerator="cpu").predict(hours)[0]
