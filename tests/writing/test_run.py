"""Runs that write texts, from the command line: what they learn, what is kept, and what their bundles write."""

import csv
import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import ftlab
from ftlab.serving.batching import Job
from ftlab.serving.engine import records
from tests.conftest import Command
from tests.writing.networks import pairs, saved, written

pytest.importorskip("transformers")
pytest.importorskip("sacrebleu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    saved(folder / "t5", "t5"), saved(folder / "bert", "bert")
    written(folder / "pairs.jsonl", pairs(60, 1, 3), "train")
    written(folder / "pairs.jsonl", pairs(12, 1, 3), "val")  # of train: it is asked whether they are learned
    return folder


def words(place: Path, network: str, *more: str) -> list[str]:
    own = ["task=translation", "data=text_pairs", f"data.root={place}", "data.file=pairs.jsonl",
           "trainer.accelerator=cpu", f"backbone.name={place / network}", "data.split_column=split",
           "schedule.warmup=0", "data.batch_size=12", "data.max_tokens=16", "head.max_tokens=6"]  # fmt: skip
    return [*own, *more]


def train(run: Path, given: list[str]) -> dict[str, Any]:
    return ftlab.train(ftlab.compose(given), run_dir=run)


@pytest.fixture(scope="module")
def run(place: Path) -> tuple[Path, dict[str, Any]]:
    own = ("strategy=full", "trainer.max_epochs=40", "optimizer.lr=0.02", "task.label_smoothing=0", "cache=off",
           "backbone.drop_rate=0", "task.generation.beams=2")  # fmt: skip
    return place / "run", train(place / "run", words(place, "t5", *own))


def test_a_tiny_network_learns_sixty_pairs_of_texts(run):
    folder, report = run
    figures = report["metrics"]["val"]
    assert figures["exact_match"] > 0.8
    assert figures["chrf"] > 80
    assert figures["perplexity"] < 2
    assert report["objective"]["name"] == "perplexity"
    assert report["history"][0]["val"]["bleu"] is None  # written at the end alone
    assert "perplexity" in report["intervals"]["val"]
    assert report["writing"]["texts"] == 12
    page = (folder / "report.html").read_text()
    assert report["writing"]["signatures"]["bleu"] in page


def test_a_bundle_writes_the_same_from_python_and_from_the_command_line_and_settings_can_change(
    run, place, command: Command, tmp_path
):
    folder, report = run
    predictor = ftlab.load(folder / "bundle")
    several = pairs(12, 1, 3)
    found = predictor.predict([source for source, _ in several])
    right = sum(record["text"] == target for record, (_, target) in zip(found, several, strict=True))
    assert right / 12 == pytest.approx(report["metrics"]["val"]["exact_match"])
    assert predictor.task.generation.beams == 2
    short = predictor.predict([source for source, _ in several], generation={"max_tokens": 2})
    assert max(len(record["text"].split()) for record in short) == 2
    place = next(place for place, one in enumerate(found) if one != short[place])
    engine, source = ftlab.load(folder / "bundle"), several[place][0]
    jobs = [Job(engine.prepared(source), (("generation", how),), Future()) for how in (None, {"max_tokens": 2}, None)]
    assert records(engine, jobs) == [found[place], short[place], found[place]]  # as ftlab serve answers
    assert predictor.predict([source for source, _ in several]) == found  # and are not kept
    with (tmp_path / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([source] for source, _ in several)])
    own = (f"bundle={folder / 'bundle'}", f"input={tmp_path / 'new.csv'}", "accelerator=cpu", "batch_size=5")
    ended = command("predict", *own)
    assert ended.code == 0, ended.err
    assert [json.loads(line)["text"] for line in ended.out.splitlines()] == [record["text"] for record in found]
    ended = command("predict", *own, "generation.max_tokens=2", f"output={tmp_path / 'out.csv'}")
    assert ended.code == 0, ended.err
    with open(tmp_path / "out.csv", newline="") as stream:
        assert [line["text"] for line in csv.DictReader(stream)] == [record["text"] for record in short]
    ended = command("predict", *own, "generation.beam=2")
    assert ended.code == 2
    assert "did you mean 'beams'" in ended.err
    ended = command("predict", *own, "generation.beams=1", "generation.length_penalty=2")
    assert ended.code == 2
    assert "give generation.beams=4 with it" in ended.err
    ended = command("export", own[0], f"output={tmp_path / 'onnx'}")
    assert ended.code == 2
    assert "a text is written token by token" in ended.err


def test_a_bundle_is_measured_on_a_file_of_others(run, tmp_path, command: Command):
    folder, report = run
    written(tmp_path / "others.jsonl", pairs(12, 1, 3))
    own = (f"bundle={folder / 'bundle'}", "data=text_pairs", f"data.root={tmp_path}", "data.file=others.jsonl")
    ended = command("evaluate", *own, "accelerator=cpu", f"output={tmp_path / 'figures.json'}")
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "figures.json").read_text())["metrics"]
    assert found == pytest.approx(report["metrics"]["val"], rel=1e-4)


def test_a_small_decoder_is_trained_first_on_what_is_kept_of_the_frozen_encoder(place, tmp_path):
    own = ("strategy=lp_ft", "strategy.groups=1", "trainer.max_epochs=3", "head.vocabulary=300", "head.width=16",
           "head.depth=1", "head.heads=2", "head.dropout=0", "backbone.drop_rate=0")  # fmt: skip
    kept, whole = (train(tmp_path / mode, words(place, "bert", *own, f"cache={mode}")) for mode in ("memory", "off"))
    assert kept["phases"][0]["name"] == "head"
    assert all(stage.startswith("head/") for stage in kept["phases"][0]["trainable_stages"])
    assert kept["phases"][0]["cache"]["train"] == "memory"
    for split in ("train", "val"):
        losses = [[epoch[split]["loss"] for epoch in report["history"]] for report in (kept, whole)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    predictor = ftlab.load(tmp_path / "memory" / "bundle")
    assert {*predictor.predict("w1 w2")[0]} == {"text"}
    vocabulary = tmp_path / "memory" / "bundle" / "vocabulary.json"
    vocabulary.write_text(vocabulary.read_text() + " ")
    with pytest.raises(ftlab.UserError, match=r"vocabulary.json: it is not the file that the bundle was written with"):
        ftlab.load(tmp_path / "memory" / "bundle")


@pytest.mark.parametrize(
    ("network", "more", "said"),
    [
        ("bert", ["head.decoder=own"], "has no decoder of its own; head.decoder=small makes one"),
        ("t5", ["data.source_column=sorce"], "data.source_column=sorce is no column; did you mean 'source'"),
        ("t5", ["data.target_columns=[target,other]"], "data.target_columns=other is no column"),
        ("t5", ["monitor=bleu"], "monitor=bleu: no such figure of the validation split"),
        ("t5", ["task.generation.beams=0"], "expected a whole number from 1 to 64"),
        ("t5", ["task.generation.length_penalty=2"], "generation.length_penalty=2: counts only where several"),
        ("bert", ["task.generation.max_tokens=1025"], "generation.max_tokens=1025: the decoder writes at most 1024"),
        ("bert", ["head.vocabulary=50"], "head.vocabulary=50: accepted is 259"),
        ("bert", ["head.width=30", "head.heads=4"], "head.width=30: has to be even, and a multiple of head.heads=4"),
    ],
)
def test_what_cannot_be_is_refused_in_one_message(place, command: Command, network, more, said):
    ended = command("train", *words(place, network, *more))
    assert ended.code == 2, ended.out + ended.err
    assert said in ended.err
    assert "epoch" not in ended.out  # before anything is trained


def test_texts_that_are_cut_off_are_counted(place, command: Command):
    ended = command("plan", *words(place, "t5", "head.max_tokens=3"))
    assert ended.code == 0, ended.err
    count = sum(len(target.split()) > 2 for _, target in pairs(60, 1, 3))
    assert f"{count} texts to write of train have more than head.max_tokens=3 tokens" in " ".join(ended.out.split())
