"""Runs on texts from the command line: a tiny network learns, what is frozen is kept, and the bundle answers."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import ftlab
from ftlab.cli import main
from tests.backbones.texts import BERT, tokenizer

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network as transformers saves it, and texts whose class is whether they begin with an a."""
    place = tmp_path_factory.mktemp("texts")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("bert", **BERT)
    transformers.AutoModel.from_config(config).save_pretrained(place / "net")
    (place / "net" / "tokenizer.json").write_text(tokenizer())
    draw, lines = torch.Generator().manual_seed(1), ["text,label,length,split,tags,writer"]
    for number in range(160):
        count = 2 + number % 9
        rest = [chr(98 + int(one)) for one in torch.randint(0, 25, (count,), generator=draw)]
        first = "a" if number % 2 else "z"
        split = ("train", "val", "test")[0 if number < 112 else 1 if number < 136 else 2]
        tags = ";".join(name for name, there in (("early", number % 2), ("long", count > 6)) if there)
        label = "yes" if number % 2 else "no"
        lines.append(f"{' '.join([first, *rest])},{label},{count + 1},{split},{tags},writer{number // 4}")
    (place / "texts.csv").write_text("\n".join(lines) + "\n")
    return place


def words(folder: Path, *more: str) -> list[str]:
    own = [f"data.root={folder}", "data.file=texts.csv", f"backbone.name={folder / 'net'}"]
    return ["data=text_csv", *own, "trainer.accelerator=cpu", "data.batch_size=16", *more]


def train(folder: Path, run: Path, *more: str) -> dict:
    split = () if any("group_column" in word for word in more) else ("data.split_column=split",)
    return ftlab.train(ftlab.compose(words(folder, *split, *more)), run_dir=run)


@pytest.fixture(scope="module")
def learned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """The report of a run that has learned the classes, and its bundle."""
    run = tmp_path_factory.mktemp("learned") / "run"
    return train(folder, run, "strategy=full", "trainer.max_epochs=8", "optimizer.lr=0.003"), run / "bundle"


def test_a_network_learns_and_its_bundle_answers_in_python_and_on_the_command_line(learned, tmp_path, capsys):
    report, bundle = learned
    assert report["metrics"]["test"]["accuracy"] >= 0.9
    description = json.loads((bundle / "bundle.json").read_text())
    assert len(description["preprocessing"]["files"]["tokenizer.json"]) == 64  # a hash; the file lies beside it
    predictor = ftlab.load(bundle)
    assert [one["class"] for one in predictor.predict(["a b c", "z b c"])] == ["yes", "no"]
    (tmp_path / "new.jsonl").write_text('{"text": "a q r"}\n{"text": "z q r"}\n')
    capsys.readouterr()
    assert main(["predict", f"bundle={bundle}", f"input={tmp_path / 'new.jsonl'}"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["class"] for line in lines] == ["yes", "no"]


def test_figures_of_a_bundle_are_those_of_the_run_whatever_the_order_of_lengths(learned, folder, tmp_path):
    report, bundle = learned
    rows = (folder / "texts.csv").read_text().splitlines()
    test = [row for row in rows[1:] if ",test," in row]
    (tmp_path / "test.csv").write_text("\n".join([rows[0], *reversed(test)]) + "\n")
    said = tmp_path / "found.json"
    more = [f"data.root={tmp_path}", "data.file=test.csv", "data.split_column=split", f"output={said}"]
    assert main(["evaluate", f"bundle={bundle}", "data=text_csv", *more, "split=test"]) == 0
    found = json.loads(said.read_text())["metrics"]
    assert found == pytest.approx({name: report["metrics"]["test"][name] for name in found}, rel=1e-4)


def test_a_bundle_with_another_tokenizer_is_refused(learned, tmp_path):
    shutil.copytree(learned[1], tmp_path / "bundle")
    file = tmp_path / "bundle" / "tokenizer.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(ftlab.UserError, match=r"tokenizer.json: it is not the file that the bundle was written with"):
        ftlab.load(tmp_path / "bundle")


def test_frozen_blocks_are_computed_once_for_texts_of_unequal_length_and_train_the_same(folder, tmp_path):
    own = ("strategy=partial", "strategy.last=1", "trainer.max_epochs=3", "backbone.drop_rate=0")
    found = {place: train(folder, tmp_path / place, *own, f"cache={place}") for place in ("memory", "disk", "off")}
    losses = {place: [epoch["train"]["loss"] for epoch in report["history"]] for place, report in found.items()}
    for place in ("memory", "disk"):
        assert [phase["cache"]["train"] for phase in found[place]["phases"]] == [place]
        assert losses[place] == pytest.approx(losses["off"], rel=1e-4)


def test_numbers_and_pairs_are_learned_too(folder, tmp_path):
    more = ("task=regression", "data.target_columns=[length]", "data.second_column=label", "strategy=full")
    report = train(folder, tmp_path / "run", *more, "trainer.max_epochs=6", "optimizer.lr=0.003")
    assert report["metrics"]["test"]["r2"] > 0.5


def test_several_labels_a_text_are_learned_and_what_one_writer_wrote_stays_in_one_split(folder, tmp_path):
    more = ("task=multilabel", "data.multilabel=true", "data.label_column=tags", "data.group_column=writer")
    report = train(folder, tmp_path / "run", *more, "strategy=full", "trainer.max_epochs=8", "optimizer.lr=0.003")
    assert report["metrics"]["test"]["f1"] >= 0.9
    assert sum(report["data"]["sizes"].values()) == 160
    assert {size % 4 for size in report["data"]["sizes"].values()} == {0}  # each writer has four texts
    (answer,) = ftlab.load(tmp_path / "run" / "bundle").predict(["a b c d e f g h i"])
    assert set(answer["labels"]) == {"early", "long"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("data.text_column=txt",), r"data.text_column=txt is no column; did you mean 'text'"),
        (("data.max_tokens=2",), r"data.max_tokens=2: accepted is 4 to 64, which the network takes"),
        (("augment=light",), r"texts are not varied as images are"),
        (("backbone.name=nowhere/at-all",), r"backbone.name=nowhere/at-all: no network of transformers there"),
    ],
    ids=["column", "length", "augment", "name"],
)
def test_what_cannot_be_is_refused_in_one_message(folder, tmp_path, more, said):
    with pytest.raises(ftlab.UserError, match=said):
        train(folder, tmp_path / "run", *more)
