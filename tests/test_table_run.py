"""Runs on tables, through the real command line."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from ftlab.composition import compose
from ftlab.convex.logistic import logistic
from ftlab.convex.ridge import ALPHAS
from ftlab.data.base import Samples
from ftlab.data.sources.diabetes import Diabetes
from ftlab.errors import UserError
from ftlab.predictor import load
from ftlab.survey import surveyed
from tests.conftest import Command

CITIES = {"Rome": 10.0, "Oslo": 80.0, "Bern": 40.0}


def report_of(folder: str | Path) -> dict[str, Any]:
    return json.loads((Path(folder) / "report.json").read_text())


def write_houses(file: Path, count: int = 90, seed: int = 0) -> None:
    """Prices that follow from rooms and city but for a little noise, and whether a house is large."""
    draw = random.Random(seed)
    lines = ["rooms,city,area,price,large"]
    for number in range(count):
        city, rooms = draw.choice(sorted(CITIES)), draw.randint(1, 6)
        area = "" if number % 9 == 0 else f"{25 * rooms + draw.gauss(0, 3):.1f}"
        price = 50 * rooms + CITIES[city] + draw.gauss(0, 2)
        lines.append(f"{rooms},{city},{area},{price:.1f},{'yes' if rooms > 3 else 'no'}")
    file.write_text("\n".join(lines) + "\n")


PRICE = (
    "task=regression",
    "data=table",
    "data.file=houses.csv",
    "data.target_columns=[price]",
    "data.columns=[rooms,city,area]",
)
LARGE = ("data=table", "data.file=houses.csv", "data.label_column=large", "data.columns=[rooms,city,area]")


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    write_houses(tmp_path / "houses.csv")
    return tmp_path


# What a data option brings


def test_a_table_brings_its_backbone_strategy_and_epochs_and_what_is_typed_wins() -> None:
    config = compose(["data=diabetes", "task=regression"])
    assert config.backbone._target_ == "ftlab.backbones.table_ensemble.TableEnsemble"
    assert config.strategy._target_ == "ftlab.strategies.lp_ft.LpFt"
    assert config.trainer.max_epochs == "auto"
    typed = compose(["strategy=full", "trainer.max_epochs=7", "data=diabetes", "backbone=timm"])
    assert typed.strategy._target_ == "ftlab.strategies.full.Full"
    assert typed.backbone._target_ == "ftlab.backbones.image.TimmBackbone"
    assert typed.trainer.max_epochs == 7
    images = compose(["data=digits"])
    assert images.backbone._target_ == "ftlab.backbones.image.TimmBackbone"
    assert images.trainer.max_epochs == "auto"
    assert images.trainer.auto_epochs.most < config.trainer.auto_epochs.most


def test_an_experiment_wins_over_what_its_data_brings(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    choices = "defaults:\n  - override /data: linnerud\n  - override /strategy: full\n"
    text = f"# @package _global_\n{choices}trainer:\n  max_epochs: 3\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    config = compose(["experiment=mine"], config_dir=tmp_path)
    assert config.backbone._target_ == "ftlab.backbones.table_ensemble.TableEnsemble"
    assert config.strategy._target_ == "ftlab.strategies.full.Full"
    assert config.trainer.max_epochs == 3


def test_keys_of_what_the_data_brings_are_checked_too() -> None:
    with pytest.raises(UserError, match=r"backbone\.widht=8: unknown key 'widht'; did you mean 'width'"):
        compose(["data=diabetes", "backbone.widht=8"])
    with pytest.raises(UserError, match=r"backbone\.name belongs to backbone=text, backbone=timm"):
        compose(["data=diabetes", "backbone.name=resnet18"])


def test_evaluate_takes_the_data_and_refuses_what_it_would_bring() -> None:
    words = ["data=diabetes", "bundle=b"]
    assert compose(words, "evaluate").data._target_ == "ftlab.data.sources.diabetes.Diabetes"
    for word in ("backbone=table", "task=regression", "head.bias=true"):
        with pytest.raises(UserError, match=f"{word}: a bundle has its own {word.split('=')[0].split('.')[0]}; leave"):
            compose([*words, word], "evaluate")
    for word in ("strategy.rate=1", "trainer.max_epochs=3"):
        with pytest.raises(UserError, match=f"{word}: unknown key '{word.split('=')[0].split('.')[0]}'"):
            compose([*words, word], "evaluate")


def test_a_multirun_gives_each_data_its_own_backbone(command: Command, houses: Path) -> None:
    (houses / "mine/data").mkdir(parents=True)
    own = "_target_: ftlab.data.sources.digits.Digits\nsplit: [0.1, 0.05, 0.85]\nimage_size: 32\ncrop_pct: null\n"
    loading = "batch_size: 16\nnum_workers: 0\ncheck: 'off'\non_error: stop\n"
    (houses / "mine/data/few.yaml").write_text(own + loading)
    (houses / "mine/data/large.yaml").write_text(
        "# @package _global_\ndefaults:\n  - table\n  - _self_\ndata:\n  file: houses.csv\n  label_column: large\n"
    )
    words = ("subset=20", "strategy=head_only", "trainer.max_epochs=1", "hydra.sweep.dir=m")
    ended = command("train", "-m", "--config-dir", "mine", "data=few,large", *words)
    assert ended.code == 0, ended.err
    assert [report_of(f"m/{job}")["backbone"]["name"] for job in (0, 1)] == ["tf_efficientnet_lite0", "table"]


# Runs


def test_a_table_of_numbers_and_categories_is_learned_reported_evaluated_and_predicted(
    command: Command, houses: Path
) -> None:
    ended = command("train", *PRICE, "trainer.max_epochs=3", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    report = report_of("run")
    assert report["metrics"]["test"]["r2"] > 0.97
    assert [stage["address"] for stage in report["stages"]] == [
        "backbone/embedding", "backbone/hidden1", "backbone/hidden2", "head/fc"
    ]  # fmt: skip
    assert "random weights" not in ended.out
    page = (houses / "run/report.html").read_text()
    assert "houses.csv, row" in page
    assert '<span class="cell">rooms <i>' in page

    again = command("evaluate", "bundle=run/bundle")
    assert again.code == 0
    assert f"{report['metrics']['test']['rmse']:.4g}"[:4] in again.out
    lines = (houses / "houses.csv").read_text().splitlines()
    few = [
        "rooms,city,area",
        *(",".join(line.split(",")[:3]) for line in lines[1:4]),
        "4,Paris,",
        "many,Rome,1",
        "3,Rome",
    ]
    (houses / "few.csv").write_text("\n".join(few) + "\n")
    told = command("predict", "bundle=run/bundle", "input=few.csv", "batch_size=2")
    assert told.code == 2
    records = [json.loads(line) for line in told.out.splitlines()]
    assert [(record["file"], record["row"]) for record in records] == [("few.csv", row) for row in range(2, 8)]
    assert [("price" in record, "error" in record) for record in records] == [(True, False)] * 4 + [(False, True)] * 2
    assert "column rooms: 'many' is no number" in records[4]["error"]
    assert "4 of 6 rows predicted" in told.err
    assert "1 rows hold what training did not, or hardly: 'Paris' in column city (1)" in told.err
    written = [line.replace(",", ";").replace(".", ",") for line in few[:4]]
    (houses / "other.csv").write_text("\n".join(written) + "\n")
    other = command("predict", "bundle=run/bundle", "input=other.csv")
    assert "input: 1 file is read with semicolons between cells: other.csv" in other.err
    assert [json.loads(line)["price"] for line in other.out.splitlines()] == [r["price"] for r in records[:3]]
    wrong = command("predict", "bundle=run/bundle", "input=other.csv", "delimiter=tab")
    assert "column rooms: the column is missing" in wrong.err
    for line, record in zip(lines[1:4], records, strict=False):
        assert record["price"] == pytest.approx(float(line.split(",")[3]), abs=25)

    predictor = load("run/bundle", accelerator="cpu")
    rows = [
        {"rooms": int(r), "city": c, "area": float(a) if a else None}
        for r, c, a, *_ in (x.split(",") for x in lines[1:4])
    ]
    assert [record["price"] for record in predictor.predict(rows)] == pytest.approx(
        [r["price"] for r in records[:3]], rel=1e-4
    )
    assert predictor.predict(rows[0])[0]["price"] == pytest.approx(records[0]["price"], rel=1e-4)


@pytest.mark.parametrize(
    "strategy", ["head_only", "progressive", "closed_form", "lp_ft", "full", "partial", "scratch", "feature_extraction"]
)
def test_classes_of_a_table_are_learned_by_every_strategy(command: Command, houses: Path, strategy: str) -> None:
    epochs = ("trainer.max_epochs=8", "optimizer.lr=0.01", "data.batch_size=16")
    ended = command("train", *LARGE, *epochs, f"strategy={strategy}", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    report = report_of("run")
    assert report["data"]["classes"] == ["no", "yes"]
    assert report["metrics"]["val"]["accuracy"] > 0.8
    stays = strategy in ("head_only", "progressive", "closed_form", "partial", "feature_extraction")
    assert ("the backbone has random weights, and phase" in ended.out) == stays
    assert any("random weights" in text for text in report["data"]["warnings"]) == stays


def numbers(part: Samples) -> tuple[np.ndarray, np.ndarray]:
    return np.array([list(row.values()) for row in part.inputs]), part.targets[:, 0].numpy()


def test_the_default_is_as_good_as_ridge_on_diabetes(command: Command) -> None:
    """On two splits here; on ten in tests/benchmarks/tables.py."""
    expected, found = [], []
    for seed in (0, 2):
        splits = Diabetes([0.7, 0.15, 0.15]).read(seed)
        scaler = StandardScaler().fit(numbers(splits.train)[0])
        rows, targets = numbers(splits.train)
        ridge = RidgeCV(alphas=ALPHAS).fit(scaler.transform(rows), targets)
        assert splits.test is not None
        rows, truth = numbers(splits.test)
        expected.append(r2_score(truth, ridge.predict(scaler.transform(rows))))
        ended = command("train", "task=regression", "data=diabetes", f"seed={seed}", f"hydra.run.dir=run{seed}")
        assert ended.code == 0, ended.err
        found.append(report_of(f"run{seed}")["metrics"]["test"]["r2"])
    assert np.mean(found) > np.mean(expected) - 0.01


def weights_of(run: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the head: of the inputs, and of the hidden layer behind them."""
    weight = load_file(f"{run}/bundle/model.safetensors")["ftlab_head.fc.weight"].numpy()
    hidden = compose(["data=diabetes"]).backbone.width
    return weight[:, :-hidden], weight[:, -hidden:]


@pytest.mark.parametrize("backbone", ["table", "table_mlp"])
def test_the_closed_form_on_random_weights_is_ridge_on_the_inputs(command: Command, backbone: str) -> None:
    splits = Diabetes([0.7, 0.15, 0.15]).read(0)
    rows, targets = numbers(splits.train)
    ridge = RidgeCV(alphas=ALPHAS).fit(StandardScaler().fit_transform(rows), (targets - targets.mean()) / targets.std())
    words = ("task=regression", "data=diabetes", "strategy=closed_form", f"backbone={backbone}")
    assert command("train", *words, "hydra.run.dir=run").code == 0
    inputs, hidden = weights_of("run")
    assert not hidden.any()
    np.testing.assert_allclose(inputs[0], ridge.coef_, rtol=1e-4, atol=1e-5)


def test_the_closed_form_on_random_weights_is_logistic_regression_on_the_inputs(command: Command, houses: Path) -> None:
    assert command("train", *LARGE, "strategy=closed_form", "strategy.C=1", "hydra.run.dir=run").code == 0
    splits = surveyed(compose(LARGE).data, 0).splits
    assert splits.fit is not None
    prepared = splits.fit(splits.train.inputs)
    fields = [prepared.transform().then(row) for row in splits.train.inputs]
    tables = load_file("run/bundle/model.safetensors")["embedding.tables.0.weight"]
    vectors = torch.stack([torch.cat([one["vectors"], tables[one["categories"][0]]]) for one in fields])
    expected = logistic(vectors, splits.train.targets, 2, strength=1.0).weight
    inputs, hidden = weights_of("run")
    assert not hidden.any()
    np.testing.assert_allclose(inputs, expected, rtol=1e-3, atol=1e-4)


def test_a_closed_form_after_the_network_has_trained_reads_the_hidden_layer_too(command: Command, houses: Path) -> None:
    first = "{name: all, epochs: 2, stages: {rest: 1}}"
    last = "{name: again, epochs: 1, fit: convex, stages: {head: 1, rest: frozen}}"
    words = ("strategy=phases", f"strategy.inline=[{first}, {last}]")
    assert command("train", *LARGE, *words, "hydra.run.dir=run").code == 0
    assert weights_of("run")[1].any()


def test_several_targets_of_a_small_table(command: Command) -> None:
    ended = command("train", "task=regression", "data=linnerud", "hydra.run.dir=run", "trainer.max_epochs=2")
    assert ended.code == 0, ended.err
    assert report_of("run")["data"]["targets"] == ["weight", "waist", "pulse"]


# One table after another


def test_a_run_starts_from_the_bundle_of_one_with_another_target(command: Command, houses: Path) -> None:
    assert command("train", *PRICE, "trainer.max_epochs=2", "hydra.run.dir=first").code == 0
    write_houses(houses / "houses.csv", count=40, seed=1)
    words = (
        *LARGE,
        "backbone.weights=first/bundle",
        "strategy=head_only",
        "trainer.max_epochs=1",
        "hydra.run.dir=second",
    )
    ended = command("train", *words)
    assert ended.code == 0, ended.err
    assert "random weights" not in ended.out
    first, second = load("first/bundle", accelerator="cpu"), load("second/bundle", accelerator="cpu")
    assert second.preprocessing == first.preprocessing  # the weights know no other scale
    for name, tensor in first.model.backbone.state_dict().items():
        assert torch.equal(second.model.backbone.state_dict()[name], tensor), name
    assert "first/bundle" in report_of("second")["backbone"]["weights"]


def test_a_bundle_of_other_columns_or_of_images_is_refused(command: Command, houses: Path) -> None:
    assert command("train", *PRICE[:-1], "data.columns=[area]", "trainer.max_epochs=2", "hydra.run.dir=first").code == 0
    ended = command(
        "train", *LARGE[:-1], "data.columns=[rooms]", "backbone.weights=first/bundle", "hydra.run.dir=second"
    )
    assert ended.code == 2
    assert "lacks the column 'area'" in ended.err


def test_a_run_that_goes_on_ends_with_the_same_figures(command: Command, houses: Path) -> None:
    words = (*PRICE, "trainer.max_epochs=4", "checkpoint.keep=all")
    assert command("train", *words, "hydra.run.dir=whole").code == 0
    assert command("train", *words, "hydra.run.dir=cut").code == 0
    (houses / "cut/report.json").unlink()
    (houses / "cut/checkpoints/previous.ckpt").rename(houses / "cut/checkpoints/last.ckpt")
    ended = command("train", "resume=cut")
    assert ended.code == 0, ended.err
    assert report_of("cut")["metrics"] == report_of("whole")["metrics"]


# What does not fit together


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data=diabetes",), "choose task=regression"),
        (("data=diabetes", "task=regression", "backbone=timm"), "use backbone=table"),
        (("backbone=table",), "use backbone=timm"),
        (("data=diabetes", "task=regression", "augment=light"), "use augment=none"),
        (("data=diabetes", "task=regression", "backbone.pretrained=true"), "no weights come along for backbone=table"),
        ((*PRICE, "data.file=house.csv"), "did you mean 'houses.csv'"),
        ((*PRICE[:-2], "data.target_columns=[city]"), "houses.csv, row 2, column city"),
        ((*PRICE[:-2], "data.target_columns=[prize]"), "did you mean 'price'"),
    ],
)
def test_what_does_not_fit_ends_with_2_and_the_way_out(
    command: Command, houses: Path, words: tuple[str, ...], told: str
) -> None:
    ended = command("train", *words, "hydra.run.dir=run")
    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_a_bundle_of_a_table_is_not_evaluated_on_images(command: Command, houses: Path) -> None:
    assert command("train", *PRICE, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    ended = command("evaluate", "bundle=run/bundle", "data=digits")
    assert ended.code == 2
    assert "takes inputs of the kind 'table', and those of the data are of 'image'" in ended.err


def test_a_check_tells_what_is_wrong_with_a_table(command: Command, houses: Path) -> None:
    with open(houses / "houses.csv", "a") as stream:
        stream.write("many,Rome,1,2,no\n3,Rome,2,cheap,no\n")
    ended = command("check", *PRICE, "output=found.json")
    assert ended.code == 2
    assert "2 errors" in ended.out
    found = json.loads((houses / "found.json").read_text())
    assert {problem["kind"] for problem in found["problems"] if problem["severity"] == "error"} == {
        "rows have a target that is no number", "rows have a cell that is no number"
    }  # fmt: skip
    skipped = command("train", *PRICE, "data.on_error=skip", "trainer.max_epochs=2", "hydra.run.dir=run")
    assert skipped.code == 0, skipped.err
    assert len(report_of("run")["data"]["skipped"]) == 2
