"""Files of questions: SQuAD's JSON and rows, what is wrong with them, and which questions stay together."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftlab.data.base import Splits
from ftlab.data.sources import docstring_questions
from ftlab.data.sources.question_csv import QuestionCsv
from ftlab.data.sources.questions import Question, Sharing, dealt
from ftlab.data.sources.squad import Squad
from ftlab.errors import UserError
from ftlab.problems import Fault
from ftlab.targets.spans import NOWHERE, Answer

CONTEXT = "The Rhine rises in the Alps and ends in the North Sea. The Rhine is long."


def qa(question: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    return {"question": question, "answers": [{"text": text, "answer_start": start} for text, start in answers], **more}


def squad(folder: Path, *qas: dict[str, Any], context: Any = CONTEXT, name: str = "train.json") -> Splits:
    whole = {"version": "v2.0", "data": [{"title": "Rhine", "paragraphs": [{"context": context, "qas": list(qas)}]}]}
    (folder / name).write_text(json.dumps(whole))
    return Squad(str(folder), name, None, None, [1.0, 0.0, 0.0]).survey(0)


def csv(folder: Path, text: str, name: str = "q.csv", **more: Any) -> Splits:
    (folder / name).write_text(text)
    own = {"question_column": "question", "context_column": "context", "answer_column": "answer"}
    own |= dict.fromkeys(("start_column", "split_column", "group_column", "delimiter", "encoding"))
    return QuestionCsv(str(folder), name, split=[1.0, 0.0, 0.0], **{**own, **more}).survey(0)  # type: ignore[arg-type]


def test_files_of_squad_1_and_2_are_read_with_all_right_answers_and_with_none(tmp_path):
    where = qa("Where does it rise?", ("the Alps", 19), ("Alps", 23), ("the Alps", 19))
    impossible = qa("How deep is it?", ("no such thing", 3), is_impossible=True)
    found = squad(tmp_path, where, impossible, qa("Why?"))
    assert [found.train.targets[place] for place in range(3)] == [
        Answer(CONTEXT, 19, ("the Alps", "Alps")), Answer(CONTEXT, NOWHERE), Answer(CONTEXT, NOWHERE),
    ]  # fmt: skip
    assert found.train.inputs[0] == ("Where does it rise?", CONTEXT)
    assert found.train.name(1) == "train.json, paragraph 1, question 2"
    assert found.faults == ()


def test_each_split_may_be_a_file(tmp_path):
    squad(tmp_path, qa("A?", ("Rhine", 4)), name="dev.json")
    squad(tmp_path, qa("B?", ("Rhine", 4)))
    found = Squad(str(tmp_path), "train.json", "dev.json", None, [0.7, 0.15, 0.15]).survey(0)
    assert found.train.inputs[0][0] == "B?"
    assert found.val.inputs[0][0] == "A?"


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (qa("", ("Rhine", 4)), "questions are empty"),
        (qa("Where?", ("the Elbe", 4)), "answers are not in their context"),
        (qa("Where?", ("Alps", 4)), "answers are not where they are said to be"),
        (qa("Where?", ("Alps", -5)), "answers are not where they are said to be"),
        (qa("Where?", ("  ", 3)), "answers are empty"),
        ({"question": "Where?", "answers": [{"text": 3}]}, "questions are not of the form of SQuAD"),
        ({"question": None, "answers": []}, "questions are not of the form of SQuAD"),
        ("Where?", "questions are not of the form of SQuAD"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(tmp_path, one, kind):
    found = squad(tmp_path, qa("Where does it rise?", ("the Alps", 19)), one)
    assert len(found.train) == 1
    (fault,) = found.faults
    assert (fault.kind, fault.name) == (kind, "train.json, paragraph 1, question 2")
    assert fault.reason.startswith("train.json, paragraph 1, question 2: ")


def test_an_empty_context_is_a_fault_and_so_is_a_file_without_a_good_question(tmp_path):
    with pytest.raises(UserError, match=r"question 1: the context is empty"):
        squad(tmp_path, qa("Where?", ("Rhine", 4)), context=" ")


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not a JSON file"), ("[1]", "not of the form of SQuAD"), ('{"data": [{"paragraphs": [3]}]}', "no object")],
)
def test_a_file_of_another_form_is_refused_by_its_name(tmp_path, content, said):
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(UserError, match=rf"odd.json: .*{said}"):
        Squad(str(tmp_path), "odd.json", None, None, [1, 0, 0]).survey(0)
    with pytest.raises(UserError, match=r"none.json"):
        Squad(str(tmp_path), "none.json", None, None, [1, 0, 0]).survey(0)


def test_rows_have_a_place_or_the_first_that_the_text_stands_at(tmp_path):
    rows = (f'Who?,"{CONTEXT}",The Rhine,55', f'Who?,"{CONTEXT} ",The Rhine,', f'How?,"{CONTEXT}",,')
    found = csv(tmp_path, "\n".join(("question,context,answer,start", *rows)), start_column="start")
    assert [found.train.targets[place].start for place in range(3)] == [55, 0, NOWHERE]
    assert [one.kind for one in found.problems] == ["answers are found several times in their context"]
    assert found.train.groups.tolist() == [0, 1, 0]  # those of one context


def test_rows_as_data_sets_are_written_on_the_hub_are_read(tmp_path):
    row = {
        "question": "Where?",
        "context": CONTEXT,
        "answers": {"text": ["Alps", "the Alps"], "answer_start": [23, 19]},
    }
    none = {"question": "Why?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}}
    text = "\n".join(map(json.dumps, (row, none)))
    found = csv(tmp_path, text, "q.jsonl", answer_column="answers")
    assert [found.train.targets[place] for place in range(2)] == [
        Answer(CONTEXT, 23, ("Alps", "the Alps")), Answer(CONTEXT, NOWHERE),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "kind"),
    [("3", "answers are not where they are said to be"), ("x", "rows have no place of their answer"),
     ("1.5", "rows have no place of their answer"), ("-4", "rows have no place of their answer")],
)  # fmt: skip
def test_a_row_with_a_wrong_place_is_a_fault(tmp_path, start, kind):
    text = f'question,context,answer,start\nA?,"{CONTEXT}",Rhine,4\nB?,"{CONTEXT}",Rhine,{start}\n'
    found = csv(tmp_path, text, start_column="start")
    assert [(fault.kind, fault.name) for fault in found.faults] == [(kind, "q.csv, row 3")]


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"data.context_column=contxt is no column; did you mean 'context'"):
        csv(tmp_path, f'question,context,answer\nA?,"{CONTEXT}",Rhine\n', context_column="contxt")


def test_questions_that_are_there_twice_are_told(tmp_path):
    several = [("A?", ("Rhine",)), ("A?", ("Rhine",)), ("B?", ("Alps",)), ("B?", ("the Alps",))]
    found = dealt([Question(f"{n}", q, CONTEXT, t, None) for n, (q, t) in enumerate(several)], Sharing([1, 0, 0]), 0)
    kinds = {one.kind: one.examples for one in found.problems if "twice" in one.kind}
    assert kinds == {"questions are there twice": ("1",), "questions are there twice with other answers": ("3",)}


def test_questions_of_one_context_are_in_one_split():
    several = [Question(f"{n}", f"{n}?", f"{CONTEXT} {n // 4}", ("Alps",), None) for n in range(80)]
    found = dealt(several, Sharing([0.7, 0.15, 0.15]), 0)
    there = [{context for _, context in part.inputs} for part in (found.train, found.val, found.test)]
    assert all(there)
    assert sum(map(len, there)) == len(set.union(*there)) == 20


def test_the_questions_of_docstrings_are_answered_by_the_characters_that_are_said(monkeypatch):
    monkeypatch.setattr(docstring_questions, "PARTS", ("ndimage",))
    several = list(docstring_questions.asked(docstring_questions.docstrings()))
    assert len(several) > 20
    assert not any(isinstance(one, Fault) for one in several)
    for one in several:
        if one.texts:
            assert one.start is not None
            assert one.context[one.start : one.start + len(one.texts[0])] == one.texts[0]
    kinds = {one.question.split()[0] for one in several}
    assert kinds == {"What", "Which"}
    assert 0 < sum(not one.texts for one in several) < len(several) / 4


def test_an_entry_of_a_docstring_tells_type_default_and_what_it_is():
    entry = "mode : {'a', 'b'}, optional\n    How the edges are treated. Default is 'a'.\n"
    text = f"Do it.\n\nParameters\n----------\n{entry}"
    (match,) = docstring_questions.ENTRY.finditer(text)
    asked = docstring_questions.entry_of(match, text).asked
    assert {form.split()[1]: answer for form, (_, answer) in asked.items()} == {
        "type": "{'a', 'b'}", "is": "'a'", "does": "How the edges are treated",
    }  # fmt: skip
    assert all(text[begin:].startswith(answer) for begin, answer in asked.values())
