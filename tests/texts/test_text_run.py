"""Runs on texts from the command line: a tiny network learns, what is frozen is kept, and the bundle answers."""

import json
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
    draw, lines = torch.Generator().manual_seed(1), ["text,label,length,split"]
    for number in range(160):
        count = 2 + number % 9
        rest = [chr(98 + int(one)) for one in torch.randint(0, 25, (count,), generator=draw)]
        first = "a" if number % 2 else "z"
        split = ("train", "val", "test")[0 if number < 112 else 1 if number < 136 else 2]
        lines.append(f"{' '.join([first, *rest])},{'yes' if number % 2 else 'no'},{count + 1},{split}")
    (place / "texts.csv").write_text("\n".join(lines) + "\n")
    return place


def words(folder: Path, *more: str) -> list[str]:
    own = [f"data.root={folder}", "data.file=texts.csv", "data.split_column=split", f"backbone.name={folder / 'net'}"]
    return ["data=text_csv", *own, "trainer.accelerator=cpu", "data.batch_size=16", *more]


def train(folder: Path, run: Path, *more: str) -> dict:
    return ftlab.train(ftlab.compose(words(folder, *more)), run_dir=run)


def test_a_network_learns_and_its_bundle_answers_in_python_and_on_the_command_line(folder, tmp_path, capsys):
    report = train(folder, tmp_path / "run", "strategy=full", "trainer.max_epochs=8", "optimizer.lr=0.003")
    assert report["metrics"]["test"]["accuracy"] >= 0.9
    bundle = tmp_path / "run" / "bundle"
    description = json.loads((bundle / "bundle.json").read_text())
    assert len(description["preprocessing"]["files"]["tokenizer.json"]) == 64  # a hash; the file lies beside it
    predictor = ftlab.load(bundle)
    assert [one["class"] for one in predictor.predict(["a b c", "z b c"])] == ["yes", "no"]
    (tmp_path / "new.jsonl").write_text('{"text": "a q r"}\n{"text": "z q r"}\n')
    capsys.readouterr()
    assert main(["predict", f"bundle={bundle}", f"input={tmp_path / 'new.jsonl'}"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["class"] for line in lines] == ["yes", "no"]


def test_a_bundle_with_another_tokenizer_is_refused(folder, tmp_path):
    train(folder, tmp_path / "run", "strategy=closed_form")
    file = tmp_path / "run" / "bundle" / "tokenizer.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(ftlab.UserError, match=r"tokenizer.json: it is not the file that the bundle was written with"):
        ftlab.load(tmp_path / "run" / "bundle")


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_frozen_blocks_are_computed_once_for_texts_of_unequal_length_and_train_the_same(folder, tmp_path, place):
    own = ("strategy=partial", "strategy.last=1", "trainer.max_epochs=3", "backbone.drop_rate=0")
    kept, whole = (train(folder, tmp_path / mode, *own, f"cache={mode}") for mode in (place, "off"))
    assert [phase["cache"]["train"] for phase in kept["phases"]] == [place]
    losses = [[epoch["train"]["loss"] for epoch in report["history"]] for report in (kept, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_numbers_and_pairs_are_learned_too(folder, tmp_path):
    more = ("task=regression", "data.target_columns=[length]", "data.second_column=label", "strategy=full")
    report = train(folder, tmp_path / "run", *more, "trainer.max_epochs=6", "optimizer.lr=0.003")
    assert report["metrics"]["test"]["r2"] > 0.5


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
