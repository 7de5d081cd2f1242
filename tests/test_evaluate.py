"""`ftlab evaluate` on other data than the run's: measured whole, and what it leaves for a person."""

import csv
import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ftlab
from ftlab.cli import main
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.base import Samples, Splits
from ftlab.data.measured import joined
from ftlab.data.sources.idx import Idx
from ftlab.data.sources.image_folder import ImageFolder
from ftlab.data.sources.sequence import Sequences
from ftlab.earlier import completed
from ftlab.errors import UserError
from ftlab.inputs.tables.preprocessing import Columns, fit
from ftlab.measuring import check_inputs
from ftlab.survey import surveyed
from ftlab.targets.classes import Classes
from ftlab.targets.numbers import Numbers
from tests.conftest import Command, Ended, close_handlers
from tests.data.pictures import write_classes
from tests.data.test_idx import write as write_idx
from tests.training.tiny import BASE, tiny_backbone

COLUMNS = ("c0", "c1", "c2")
Cells = Sequence[str]
TABLE = ["data=table", "data.label_column=y"]


def rows(count: int, seed: int, classes: str = "abc") -> list[list[str]]:
    """Cells of chance, and a class that the first of them mostly decides."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        cells = [draw.gauss(0, 1) for _ in COLUMNS]
        place = min(len(classes) - 1, max(0, round(cells[0] + draw.gauss(0, 0.3)) + 1))
        found.append([*(f"{cell:.4f}" for cell in cells), classes[place]])
    return found


def write(name: str, lines: Sequence[Cells], *more: str, value: str = "") -> None:
    """A CSV file; `more`: another column, with `value` in all rows."""
    with open(name, "w", newline="") as stream:
        csv.writer(stream).writerows([[*COLUMNS, "y", *more], *([*line, value] if more else line for line in lines)])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with own.csv and runs on it: of classes, and of a number."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("own.csv", rows(90, seed=1))
        words = ["data.file=own.csv", "strategy=closed_form", "trainer.accelerator=cpu", "seed=3"]
        assert main(["train", *TABLE, *words, "hydra.run.dir=run"]) == 0
        number = ["data=table", "task=regression", "data.target_columns=[c2]", "data.columns=[c0,c1]"]
        assert main(["train", *number, *words, "hydra.run.dir=number"]) == 0
        close_handlers()
    return folder


@pytest.fixture
def there(begun: Path, command: Command) -> Path:
    """The same in the folder of the test."""
    shutil.copytree(begun, Path.cwd(), dirs_exist_ok=True)
    return Path.cwd()


def evaluated(command: Command, *words: str, bundle: str = "run") -> tuple[dict[str, Any], Ended]:
    ended = command("evaluate", f"bundle={bundle}/bundle", "accelerator=cpu", *words, "output=found.json")
    assert ended.code == 0, ended.err
    found = json.loads(Path("found.json").read_text())
    Path("found.json").unlink()
    return found, ended


def expected(lines: Sequence[Cells], names: str = "abc") -> tuple[float, list[list[int]]]:
    """Accuracy and confusion of the bundle on rows, by its predictions one by one."""
    predictor = ftlab.load("run/bundle", accelerator="cpu")
    told = predictor.predict([dict(zip(COLUMNS, map(float, line[:-1]), strict=True)) for line in lines])
    pairs = Counter((line[-1], one["class"]) for line, one in zip(lines, told, strict=True))
    matrix = [[pairs[truth, said] for said in names] for truth in names]
    return sum(matrix[place][place] for place in range(len(names))) / len(lines), matrix


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("", []),
        ("test", ["data.split_column=split"]),
        ("", ["data.split=[0,0,1]"]),
        ("", ["data.split=[0,0,1]", "split=test"]),
        ("", ["data.split=[1,0,0]", "split=train"]),
        ("train", ["data.split_column=split"]),
        ("val", ["data.split_column=split", "split=val"]),
    ],
)
def test_another_file_is_measured_whole(there: Path, command: Command, column: str, words: list[str]) -> None:
    lines = rows(40, seed=2)
    write("new.csv", lines, *(["split"] if column else []), value=column)
    accuracy, matrix = expected(lines)
    found, ended = evaluated(command, *TABLE, "data.file=new.csv", *words)
    split = next((word.removeprefix("split=") for word in words if word.startswith("split=")), "all")
    assert (found["split"], found["samples"]) == (split, 40)
    assert found["metrics"]["accuracy"] == pytest.approx(accuracy)
    assert found["confusion"] == {"split": split, "matrix": matrix}
    assert ended.out.startswith(f"{split}: 40 samples of table new.csv")
    assert "warning" not in ended.out


def test_the_splits_of_a_file_are_measured_together_or_one_by_one(there: Path, command: Command) -> None:
    lines = rows(40, seed=2)
    named = [[*line, "test" if place % 4 else "train"] for place, line in enumerate(lines)]
    with open("new.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([[*COLUMNS, "y", "split"], *named])
    words = [*TABLE, "data.file=new.csv", "data.split_column=split"]
    found, ended = evaluated(command, *words)
    assert found["metrics"]["accuracy"] == pytest.approx(expected(lines)[0])
    assert found["data"]["sizes"] == {"train": 10, "test": 30}
    assert "all: 40 samples of table new.csv (10 train, 30 test)" in ended.out
    found, ended = evaluated(command, *words, "split=test")
    tests = [line for place, line in enumerate(lines) if place % 4]
    assert found["metrics"]["accuracy"] == pytest.approx(expected(tests)[0])
    assert "test: 30 of 40 samples of table new.csv (10 train, 30 test)" in ended.out


def test_shares_that_nothing_follows_are_told_and_so_is_a_split_that_a_seed_draws(
    there: Path, command: Command
) -> None:
    write("new.csv", rows(40, seed=2))
    words = [*TABLE, "data.file=new.csv", "data.split=[0.6,0.2,0.2]"]
    found, ended = evaluated(command, *words)
    assert found["samples"] == 40
    assert "data.split=[0.6, 0.2, 0.2] is not used: all samples are measured" in ended.out
    found, ended = evaluated(command, *words, "split=test")
    assert found["data"]["sizes"] == {
        "train": 40 - 2 * found["samples"],
        "val": found["samples"],
        "test": found["samples"],
    }
    assert "split=test is drawn by the run's seed 3; split=all measures all samples" in ended.out


def test_a_seed_which_would_change_nothing_is_no_key(there: Path, command: Command) -> None:
    ended = command("evaluate", "bundle=run/bundle", "seed=99")
    assert ended.code == 2
    assert "seed=99: unknown key" in ended.err


def test_classes_that_the_data_lack_are_those_of_the_bundle_and_unknown_ones_are_named(
    there: Path, command: Command
) -> None:
    for classes in ("ab", "b"):
        lines = [line for line in rows(60, seed=2) if line[-1] in classes]
        write("new.csv", lines)
        found, _ = evaluated(command, *TABLE, "data.file=new.csv")
        accuracy, matrix = expected(lines)
        assert found["metrics"]["accuracy"] == pytest.approx(accuracy)
        assert found["confusion"]["matrix"] == matrix
        assert found["data"]["classes"] == ["a", "b", "c"]
    write("new.csv", rows(20, seed=2, classes="abd"))
    ended = command("evaluate", "bundle=run/bundle", *TABLE, "data.file=new.csv")
    assert ended.code == 2
    assert "the classes ['d'] are not the bundle's; it knows a, b, c" in ended.err


def test_numbers_that_are_all_the_same_can_be_measured(there: Path, command: Command) -> None:
    lines = [[*line[:2], "0.5", line[-1]] for line in rows(20, seed=2)]
    write("new.csv", lines)
    words = ["data=table", "data.file=new.csv", "data.target_columns=[c2]", "data.columns=[c0,c1]"]
    found, _ = evaluated(command, *words, bundle="number")
    predictor = ftlab.load("number/bundle", accelerator="cpu")
    said = predictor.predict([{"c0": float(line[0]), "c1": float(line[1])} for line in lines])
    assert found["metrics"]["mae"] == pytest.approx(sum(abs(one["c2"] - 0.5) for one in said) / 20, rel=1e-4)
    assert found["samples"] == 20


def test_the_runs_own_data_keep_their_split_and_what_was_trained_on_is_counted(there: Path, command: Command) -> None:
    sizes = json.loads((there / "run" / "report.json").read_text())["data"]["sizes"]
    found, ended = evaluated(command)
    assert found["split"] == "test"
    assert found["data"]["sizes"] == sizes
    assert "train split" not in ended.out
    whole, ended = evaluated(command, "split=all")
    assert whole["metrics"]["accuracy"] == pytest.approx(expected(rows(90, seed=1))[0])
    told = f"{sizes['train']} of the 90 samples are in the train split of bundle=run/bundle too"
    assert told in ended.out
    shutil.copy("own.csv", "copy.csv")  # which nothing but its rows tells
    copied, ended = evaluated(command, *TABLE, "data.file=copy.csv")
    assert copied["split"] == "all"
    assert copied["metrics"] == pytest.approx(whole["metrics"])
    assert told in ended.out
    mixed = [*rows(90, seed=1)[:30], *rows(10, seed=2)]
    write("mixed.csv", mixed)
    also, _ = evaluated(command, *TABLE, "data.file=mixed.csv")
    own = surveyed(compose([*TABLE, "data.file=own.csv"]).data, 3).splits
    known = sum(int(name.removeprefix("own.csv, row ")) - 2 < 30 for name in own.train.names)
    assert f"{known} of the 40 samples are in the train split of bundle=run/bundle too" in also["warnings"]


def test_rows_of_a_file_with_more_columns_than_the_run_saw_are_known_again(there: Path, command: Command) -> None:
    shutil.copy("own.csv", "more.csv")  # c0, c1, c2, y; the run saw the first two, and c2 as its target
    sizes = json.loads((there / "number" / "report.json").read_text())["data"]["sizes"]
    _, ended = evaluated(command, "data=table", "data.file=more.csv", bundle="number")
    assert f"{sizes['train']} of the 90 samples are in the train split of bundle=number/bundle too" in ended.out


def test_a_split_that_is_not_there_is_an_error_that_names_those_that_are(there: Path, command: Command) -> None:
    write("new.csv", rows(12, seed=2), "split", value="test")
    words = [*TABLE, "data.file=new.csv", "data.split_column=split", "split=val"]
    ended = command("evaluate", "bundle=run/bundle", *words)
    assert ended.code == 2
    assert "split=val: the data have no such split; accepted: test (12 samples), or all" in ended.err


# What it leaves


def test_a_folder_gets_a_report_and_a_page_with_confusion_classes_and_worst_samples(
    there: Path, command: Command
) -> None:
    lines = rows(40, seed=2)
    write("new.csv", lines)
    words = ["evaluate", "bundle=run/bundle", "accelerator=cpu", *TABLE, "data.file=new.csv", "output=out"]
    ended = command(*words)
    assert ended.code == 0, ended.err
    assert {file.name for file in Path("out").iterdir()} == {"report.json", "report.html"}
    report, page = json.loads(Path("out/report.json").read_text()), Path("out/report.html").read_text()
    accuracy, matrix = expected(lines)
    wrong = sum(map(sum, matrix)) - round(accuracy * 40)
    assert len(report["worst"]) == min(24, wrong)
    assert report["worst"] == sorted(report["worst"], key=lambda one: -one["severity"])
    for one in report["worst"]:
        line = lines[int(one["name"].removeprefix("new.csv, row ")) - 2]
        assert (one["truth"], one["prediction"] != one["truth"]) == (line[-1], True)
        assert one["name"] in page
    for text in ("Confusion, all", "Quality of each class", "The most confident mistakes", f"{accuracy:.4f}"):
        assert text in page
    assert f"{accuracy:.4f}" in ended.out
    assert "written to out" in ended.out
    assert "--cfg" not in report["command"]
    again = command(*words)
    assert again.code == 2
    assert "output=out: exists already" in again.err


def test_figures_of_single_targets_are_printed_too(there: Path, command: Command) -> None:
    found, ended = evaluated(command, bundle="number")
    assert all(name in ended.out for name in found["metrics"])
    assert found["residuals"]["split"] == "test"


# From Python


def pairs(count: int, seed: int, classes: int = 3) -> list[tuple[np.ndarray, int]]:
    draw = np.random.default_rng(seed)
    return [(draw.integers(0, 255, (8, 8), dtype=np.uint8), place % classes) for place in range(count)]


def test_own_data_from_python_are_whole_unless_they_are_those_of_the_run(tmp_path: Path) -> None:
    given = {"train": pairs(30, 0), "val": pairs(9, 1), "test": pairs(12, 2)}
    run = tmp_path / "run"
    report = ftlab.train(
        compose([*BASE, "strategy=head_only", "trainer.max_epochs=1"]),
        run,
        ftlab.from_datasets(**given),
        tiny_backbone(),
    )
    config = compose([f"bundle={run / 'bundle'}", "accelerator=cpu"], mode="evaluate")
    found = ftlab.evaluate(config, data=ftlab.from_datasets(**given), backbone=tiny_backbone())
    assert (found["split"], found["samples"]) == ("test", 12)
    assert found["metrics"] == pytest.approx(report["metrics"]["test"], abs=1e-6)
    found = ftlab.evaluate(config, data=ftlab.from_datasets(pairs(20, 3, classes=2)), backbone=tiny_backbone())
    assert (found["split"], found["samples"]) == ("all", 20)
    given["test"] = pairs(13, 4)
    found = ftlab.evaluate(config, data=ftlab.from_datasets(**given), backbone=tiny_backbone())
    assert (found["split"], found["samples"]) == ("all", 30 + 9 + 13)
    predictor = ftlab.load(run / "bundle", tiny_backbone(), accelerator="cpu")
    whole = [one for part in given.values() for one in part]
    said = [
        one["class"] for one in predictor.predict([torch.from_numpy(image)[None].repeat(3, 1, 1) for image, _ in whole])
    ]
    right = sum(name == str(label) for name, (_, label) in zip(said, whole, strict=True))
    assert found["metrics"]["accuracy"] == pytest.approx(right / len(whole))


# Every kind of source


def measured(source: Any) -> Splits:
    source.learned = False
    return source.survey(0)


def test_a_folder_of_test_images_of_one_class_alone_can_be_measured(tmp_path: Path) -> None:
    write_classes(tmp_path / "test", dog=3)
    found = measured(ImageFolder(str(tmp_path), [1, 0, 0]))
    assert {name: len(part) for name, part in found.parts().items()} == {"train": 0, "test": 3}
    assert found.target == Classes(("dog",))
    write_classes(tmp_path / "val", cat=2)
    found = measured(ImageFolder(str(tmp_path), [1, 0, 0]))
    assert found.target == Classes(("cat", "dog"))
    assert found.val is not None
    assert found.val.targets.tolist() == [0, 0]
    with pytest.raises(UserError, match="no train folder"):
        ImageFolder(str(tmp_path), [1, 0, 0]).survey(0)


def test_the_test_files_of_mnist_alone_can_be_measured(tmp_path: Path) -> None:
    write_idx(tmp_path, "t10k", np.zeros((4, 2, 2), np.uint8), np.array([7, 5, 7, 5], np.uint8), zipped=False)
    found = measured(Idx(str(tmp_path), [1, 0, 0]))
    assert found.test is not None
    assert (len(found.train), found.test.targets.tolist(), found.target) == (0, [1, 0, 1, 0], Classes(("5", "7")))
    with pytest.raises(UserError, match="train-images-idx3-ubyte"):
        Idx(str(tmp_path), [1, 0, 0]).survey(0)


def test_all_windows_of_a_single_series_are_measured_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("at,level\n" + "".join(f"{at},{at % 5}\n" for at in range(20)))
    settings = {
        "root": str(tmp_path), "file": "x.csv", "series_column": None, "time_column": "at", "token_column": None,
        "columns": None, "target_columns": ["level"], "label_column": None, "window": 4, "stride": 1, "horizon": 1,
        "max_length": None, "rare": 1, "missing": "error", "split_column": None, "split": [1, 0, 0],
    }  # fmt: skip
    for order in ("random", "time"):
        found = measured(Sequences(**settings, order=order))
        assert {name: len(part) for name, part in found.parts().items()} == {"train": 20 - 4}


def test_the_images_of_all_splits_of_a_folder_are_measured_with_their_own_classes(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", cat=3, dog=2)
    write_classes(tmp_path / "test", dog=4)
    node = {**compose(["data=image_folder", f"data.root={tmp_path}"]).data}
    found = surveyed({**node, "split": [1, 0, 0]}, 0, learned=False)
    whole = joined(list(found.splits.parts().values()), found.splits.target)
    assert whole.targets.tolist() == [0] * 3 + [1] * 2 + [1] * 4
    assert [whole.name(place).split("/")[-3] for place in range(9)] == ["train"] * 5 + ["test"] * 4
    colours = [whole.inputs[place].getpixel((0, 0)) for place in range(9)]  # type: ignore[attr-defined]
    assert colours[:3] == [colours[0]] * 3
    assert colours[3:] == [colours[3]] * 6
    assert colours[0] != colours[3]


def test_samples_of_several_splits_are_one_after_the_other() -> None:
    parts = [Samples([{"x": place}], torch.tensor([[float(place)]])) for place in range(3)]
    whole = joined([*parts, *parts[:1]], Numbers(("x",)))
    assert [row["x"] for row in whole.inputs] == [0, 1, 2, 0]  # type: ignore[attr-defined]
    assert whole.targets.flatten().tolist() == [0, 1, 2, 0]

    class Texts(Classes):
        plural = "texts"

    with pytest.raises(UserError, match="texts of several splits cannot be put together"):
        Texts(("a", "b")).joined([["a"], ["b"]])


# --- what is typed of data, and what only the bundle can say


def option(*words: str) -> dict[str, Any]:
    return dict(plainly(compose(["bundle=x", *words], "evaluate").data))


def test_what_the_file_holds_is_taken_from_the_bundle_where_nothing_is_typed() -> None:
    trained = option("data=table", "data.file=own.csv", "data.target_columns=[price]", "data.drop=[id]", "data.rare=7")
    asked = option("data=table", "data.file=new.csv")
    found = completed(asked, trained)
    assert {key for key in asked if found[key] != asked[key]} == {"target_columns"}
    assert found["target_columns"] == ["price"]
    other = option("data=table", "data.file=new.csv", "data.label_column=sold")
    assert completed(other, trained) == other
    assert completed(asked, option("data=image_folder", "data.root=x")) == asked
    assert completed(asked, {}) == asked
    labelled = option("data=image_csv", "data.root=x", "data.label_column=tags", "data.multilabel=true")
    found = completed(option("data=image_csv", "data.root=y"), labelled)
    assert (found["label_column"], found["multilabel"], found["root"]) == ("tags", True, "y")


def test_the_windows_of_a_sequence_are_the_bundles_unless_they_are_typed() -> None:
    named = ["data.time_column=hour", "data.target_columns=[level]", "data.window=8", "data.horizon=2"]
    trained = option("data=sequence", "data.file=tide.csv", *named)
    asked = option("data=sequence", "data.file=new.csv")
    assert completed(asked, trained) == {**trained, "file": "new.csv"}
    assert completed(option("data=sequence", "data.file=new.csv", "data.window=4"), trained)["horizon"] == 1
    arrays = option("data=sequence", "data.file=new.npz")
    assert completed(arrays, trained) == arrays


@pytest.mark.parametrize("word", ["data.dates=day_first", "data.rare=9", "data.index=keep"])
def test_what_only_the_bundle_can_say_is_refused_where_it_says_something_else(word: str) -> None:
    trained = option("data=table", "data.file=own.csv", "data.label_column=y")
    asked = option("data=table", "data.file=new.csv", word)
    with pytest.raises(UserError, match=f"^{word}: is not read here, .* are the bundle's; leave it out"):
        completed(asked, trained)
    with pytest.raises(UserError, match="leave it out"):
        completed(asked, {})
    key = word.removeprefix("data.").split("=")[0]
    assert completed(asked, {**trained, key: asked[key]})["label_column"] == "y"
    before = {name: held for name, held in trained.items() if name != key}
    assert completed(asked, before)["label_column"] == "y"


def test_rows_that_do_not_fit_a_bundle_are_counted_and_the_first_is_named() -> None:
    rows = [{"x": float(n), "when": f"2024-01-{n:02}"} for n in range(1, 9)]
    preprocessing = fit(rows, Columns(("x",), (), dates=(("when", "year"),)))
    target = Classes(("a", "b"))
    names = [f"new.csv, row {n}" for n in range(2, 10)]
    held = [{**row, "when": "soon"} if place in (2, 5) else row for place, row in enumerate(rows)]
    check_inputs(preprocessing, Splits(Samples(rows, torch.zeros(8), names), None, None, target))
    with pytest.raises(UserError) as told:
        check_inputs(preprocessing, Splits(Samples(held, torch.zeros(8), names), None, None, target))
    assert str(told.value) == (
        "2 of 8 rows do not fit the bundle; mend or remove them: new.csv, row 4: column when: 'soon' is no date such "
        "as 2024-01-31"
    )


def test_a_bundle_of_a_table_is_measured_on_a_file_alone(there: Path, command: Command) -> None:
    lines = rows(40, seed=2)
    write("new.csv", lines)
    found, _ = evaluated(command, "data=table", "data.file=new.csv")
    assert found["metrics"]["accuracy"] == pytest.approx(expected(lines)[0])
    told = command("evaluate", "bundle=run/bundle", "data=table", "data.file=new.csv", "task=regression")
    assert told.code == 2
    assert "task=regression: a bundle has its own task; leave it out" in told.err
