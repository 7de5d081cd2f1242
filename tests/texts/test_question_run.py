"""Runs that answer questions: what they learn, what a cache keeps, and what their bundles say of new ones."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ftlab
from tests.conftest import Command
from tests.texts.questions import network, rows, words, written

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 questions with contexts of two lengths, which are both train and val: it is asked whether they are learned."""
    folder = tmp_path_factory.mktemp("questions")
    network(folder / "net")
    several = [*rows(10, 1), *rows(10, 2, letters=8, without=3)]
    written(folder / "questions.jsonl", [row | {"split": split} for split in ("train", "val") for row in several])
    return folder


def train(place: Path, run: Path, *more: str) -> dict[str, Any]:
    return ftlab.train(ftlab.compose(words(place, *more)), run_dir=run)


@pytest.fixture(scope="module")
def run(place: Path) -> tuple[Path, dict[str, Any]]:
    own = ("strategy=full", "trainer.max_epochs=25", "optimizer.lr=0.01", "data.batch_size=10", "cache=off")
    return place / "run", train(place, place / "run", *own)


def test_a_tiny_network_learns_twenty_questions_of_one_and_of_several_windows(run):
    _, report = run
    figures = report["metrics"]["val"]
    assert figures["exact_match"] >= 0.9
    assert figures["no_answer_exact_match"] >= 0.75
    assert report["objective"]["name"] == "f1"
    assert report["history"][0]["val"]["exact_match"] < 0.5
    assert report["data"]["sizes"] == {"train": 20, "val": 20}
    own = report["answers"]
    assert sum(one["questions"] for one in own["lengths"]) == own["questions"] == 20
    assert own["answerable"] == 16
    assert report["trivial"]["val"]["f1"]["value"] == pytest.approx(4 / 20)


def test_the_score_that_val_decides_is_in_the_bundle_and_both_ways_to_predict_say_the_same(
    run, place, command: Command
):
    folder, report = run
    predictor = ftlab.load(folder / "bundle")
    assert predictor.task.score == report["answers"]["score"]
    several = rows(10, 1)
    found = predictor.predict([(row["question"], row["context"]) for row in several], top_k=2)
    for row, record in zip(several, found, strict=True):
        assert record["answer"] == row["context"][record["start"] : record["end"]]
        assert len(record["top"]) == 2
    assert sum(record["answer"] == row["answer"] for row, record in zip(several, found, strict=True)) >= 9
    written(place / "new.jsonl", [{"question": row["question"], "context": row["context"]} for row in several])
    ended = command(
        "predict", f"bundle={folder / 'bundle'}", f"input={place / 'new.jsonl'}", "accelerator=cpu", "top_k=2"
    )
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["answer"] for line in lines] == [record["answer"] for record in found]
    assert [line["score"] for line in lines] == pytest.approx([record["score"] for record in found], rel=1e-4)


def test_a_question_may_be_typed_for_a_context_and_a_table_has_one_row_each(run, place, command: Command, tmp_path):
    folder, _ = run
    row = rows(10, 1)[0]
    (tmp_path / "context.txt").write_text(row["context"])
    own = (f"bundle={folder / 'bundle'}", f"input={tmp_path / 'context.txt'}", "accelerator=cpu")
    ended = command("predict", *own, f"question={row['question']}", f"output={tmp_path / 'answers.csv'}", "score=0")
    assert ended.code == 0, ended.err
    with open(tmp_path / "answers.csv", newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert [*line] == ["file", "answer", "score", "start", "end", "error"]
    assert line["answer"] == row["context"][int(line["start"]) : int(line["end"])]
    ended = command("predict", *own)
    assert ended.code == 2
    assert "a question and its context are needed, and there is one text" in ended.out + ended.err


def test_a_bundle_is_measured_on_a_file_of_others(run, tmp_path, command: Command):
    folder, report = run
    written(tmp_path / "others.jsonl", rows(10, 1))
    own = (f"bundle={folder / 'bundle'}", "data=question_csv", f"data.root={tmp_path}", "data.file=others.jsonl")
    ended = command("evaluate", *own, "accelerator=cpu", f"output={tmp_path / 'figures.json'}")
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["samples"] == 10
    assert found["metrics"]["exact_match"] >= 0.9  # which are among those that it learned
    assert found["answers"]["score"] == report["answers"]["score"]


def test_the_report_marks_answers_in_their_context(run):
    folder, _ = run
    page = (folder / "report.html").read_text()
    assert all(text in page for text in ("Answers, val", "The worst answers", "words of the answer"))
    assert "passage" in page


@pytest.mark.parametrize("where", ["memory", pytest.param("disk", marks=pytest.mark.slow)])
def test_what_is_kept_at_the_freeze_border_trains_the_same(place, tmp_path, where):
    own = ("strategy=partial", "strategy.last=1", "trainer.max_epochs=2", "data.batch_size=8")
    kept, whole = (train(place, tmp_path / mode, *own, f"cache={mode}") for mode in (where, "off"))
    assert [phase["cache"]["train"] for phase in kept["phases"]] == [where]
    for split in ("train", "val"):
        losses = [[epoch[split]["loss"] for epoch in report["history"]] for report in (kept, whole)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert kept["metrics"]["val"] == pytest.approx(whole["metrics"]["val"], rel=1e-4)


def test_a_run_goes_on_with_the_same_bits(place, tmp_path):
    own = ("strategy=full", "schedule=constant", "data.batch_size=8", "cache=off")
    train(place, tmp_path / "once", *own, "trainer.max_epochs=2")
    train(place, tmp_path / "parted", *own, "trainer.max_epochs=1")
    more = [f"resume={tmp_path / 'parted'}", "trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]"]
    ftlab.train(ftlab.compose(words(place, *own, *more)))
    found, wanted = (load_file(tmp_path / name / "bundle" / "model.safetensors") for name in ("parted", "once"))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
