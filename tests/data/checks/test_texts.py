"""What ftlab check says of texts: each kind of bad input is an error or a warning that names the file and the place."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ftlab
from ftlab.data.checks import texts
from ftlab.data.checks.near_texts import ALIKE, common, near, shingles
from ftlab.problems import Problem
from ftlab.survey import problems_of

Rows = list[list[str]]
HEAD = ["text", "label", "part", "writer"]
WORDS = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "it",
    "for",
    "on",
    "with",
    "as",
    "at",
    "by",
    "from",
    "this",
    "that",
    "was",
    "are",
    "be",
]
THINGS = ["river", "stone", "engine", "window", "garden", "letter", "market", "doctor", "winter", "bridge"]


def rows(count: int = 120) -> Rows:
    """Sentences of 30 words, no two of which have much in common, in two classes that no word tells apart."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(count):
        own = [str(draw.choice(WORDS if place % 2 else THINGS)) for place in range(30)]
        part = ("train", "val", "test")[0 if number < 80 else 1 if number < 100 else 2]
        made.append([" ".join(own), ("yes", "no")[number % 2], part, f"writer{number}"])
    return made


def written(lines: Rows, head: list[str] = HEAD) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([head, *lines])
    return out.getvalue()


def changed(row: int, column: int, to: str | Callable[[str], str]) -> Callable[[], str]:
    def made() -> str:
        found = rows()
        old = found[row][column]
        found[row][column] = to if isinstance(to, str) else to(old)
        return written(found)

    return made


def all_of(column: int, to: Callable[[int, str], str]) -> Callable[[], str]:
    return lambda: written([[*one[:column], to(i, one[column]), *one[column + 1 :]] for i, one in enumerate(rows())])


def again(row: int, *others: str) -> Callable[[], str]:
    """A row once more at the end, with other cells behind its text."""
    return lambda: written([*rows(), [rows()[row][0].upper(), *others]])


@pytest.fixture(scope="module")
def node() -> dict[str, Any]:
    words = ["data=text_csv", "data.file=t.csv", "data.split_column=part", "data.group_column=writer"]
    return {**ftlab.compose(words)["data"]}


def checked(node: dict[str, Any], folder: Path, content: str | bytes, **keys: Any) -> list[Problem]:
    file = str(keys.get("file", node["file"]))
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return problems_of({**node, "root": str(folder), **keys}, seed=0).problems


SPANISH = (
    "los perros que viven cerca del puerto ladran cuando pasan barcos grandes cargados de naranjas y limones hacia "
    "Francia todas las noches"
)
BAD: dict[str, tuple[Callable[[], str | bytes], str, str]] = {
    # the file
    "no file content": (lambda: "", "error", "t.csv: the file has no rows"),
    "a workbook": (lambda: b"PK\x03\x04zip", "error", "t.csv: not a text file but an archive or a workbook"),
    "zero bytes": (lambda: b"text,label\nab\x00c,yes\n", "error", "t.csv: not a text file, it holds zero bytes"),
    "an encoding without a name": (
        lambda: written(rows()).encode().replace(b"river", b"r\xe9ver"),
        "note",
        "letters in cp1252",
    ),
    "no text column": (lambda: written(rows(), ["words", *HEAD[1:]]), "error", "data.text_column=text is no column"),
    "two columns of one name": (
        lambda: written(rows(), ["text", "text", *HEAD[2:]]),
        "error",
        "column text: the name is",
    ),
    "a torn row": (lambda: written([*rows(), ["half"]]), "error", "t.csv, row 122: the row has 1 cells"),
    "a quote that is not closed": (lambda: written(rows()) + '"open,yes,train,x\n', "warning", "t.csv, row 122 ("),
    # rows
    "an empty text": (changed(4, 0, ""), "error", "t.csv, row 6, column text: the text is empty"),
    "a blank text": (changed(4, 0, " \u00a0\t"), "error", "t.csv, row 6, column text: the text is empty"),
    "no label": (changed(4, 1, ""), "error", "t.csv, row 6, column label"),
    "an unknown split": (changed(4, 2, "trian"), "error", "t.csv, row 6, column part: split 'trian' is unknown"),
    "no group": (changed(4, 3, "nan"), "error", "t.csv, row 6, column writer: the group is missing"),
    "one class": (all_of(1, lambda i, old: "yes"), "error", "There is nothing to tell apart"),
    "a writer in two splits": (changed(99, 3, "writer0"), "warning", "in more than one split: t.csv, row 101"),
    # what is in them
    "megabytes": (changed(4, 0, lambda old: old * 8000), "warning", "has more than 1,000,000 characters: t.csv, row 6"),
    "broken letters": (
        changed(4, 0, lambda old: old + " caf\ufffd"),
        "warning",
        "holds bytes that are no letters: t.csv, row 6",
    ),
    "letters read wrongly": (
        changed(4, 0, lambda old: old + " caf\u00c3\u00a9"),
        "warning",
        "another encoding: t.csv, row 6",
    ),
    "control characters": (
        changed(4, 0, lambda old: old + "\x07"),
        "warning",
        "holds control characters: t.csv, row 6",
    ),
    "a page": (changed(4, 0, lambda old: f"<p>{old}</p>" * 4), "warning", "of HTML: t.csv, row 6"),
    "no word": (changed(4, 0, "1234 -- 55"), "warning", "holds no word: t.csv, row 6"),
    "another script": (
        changed(4, 0, "\u0447\u0442\u043e \u044d\u0442\u043e " * 9),
        "warning",
        "(LATIN): t.csv, row 6 (CYRILLIC)",
    ),
    "another language": (changed(4, 0, SPANISH), "warning", "usual in the others: t.csv, row 6"),
    "a repetition": (
        again(4, "yes", "train", "x"),
        "warning",
        "repeats one of the same split: t.csv, row 122 = t.csv, row 6",
    ),
    "a text of train in val": (
        again(4, "yes", "val", "x"),
        "warning",
        "is in another split too: t.csv, row 122 = t.csv, row 6",
    ),
    "another label": (again(4, "no", "train", "x"), "warning", "labels: t.csv, row 122 (no) = t.csv, row 6 (yes)"),
    "nearly the same": (
        lambda: written([*rows(), [rows()[4][0] + " indeed", "yes", "test", "x"]]),
        "warning",
        "in different splits looks alike: t.csv, row 6 = t.csv, row 122",
    ),
    "a word that gives it away": (
        all_of(0, lambda i, old: f"{old} category{'ab'[i % 2]}"),
        "warning",
        "'categorya' is in 40 of 40 texts of yes, and in 0 of 40",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_of_bad_text_is_told_with_its_file_and_place(kind, node, tmp_path):
    make, severity, says = BAD[kind]
    found = checked(node, tmp_path, make())
    said = {problem.text.replace("texts hold", "text holds"): problem.severity for problem in found}
    assert [how for text, how in said.items() if says in text][:1] == [severity], "\n".join(said)


def test_of_good_texts_nothing_is_said(node, tmp_path):
    assert [problem.text for problem in checked(node, tmp_path, written(rows()))] == []


def test_a_line_of_json_that_is_none_is_named(node, tmp_path):
    lines = [json.dumps(dict(zip(HEAD, one, strict=True))) for one in rows()]
    found = checked(node, tmp_path, "\n".join([*lines[:4], "{broken", *lines[4:]]), file="t.jsonl")
    assert any(one.severity == "error" and "t.jsonl" in one.text and "5" in one.text for one in found)


def test_too_much_to_compare_is_said_and_a_full_check_compares_it(node, tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "FAST", 1000)
    double = again(4, "yes", "train", "x")()
    fast, full = (checked(node, tmp_path, double, check=level) for level in ("fast", "full"))
    assert [one.text for one in fast if "not compared" in one.text] != []
    assert [one.text for one in fast if "row 122" in one.text] == []
    assert [one.text for one in full if "row 122" in one.text] != []


def test_texts_of_sentences_in_many_languages_or_of_none_are_not_told_of(node, tmp_path):
    draw = np.random.default_rng(1)
    strange = ["".join(map(chr, draw.integers(97, 123, 7))) for _ in range(4000)]
    lines = [[" ".join(draw.choice(strange, 25)), *one[1:]] for one in rows()]
    assert [one.text for one in checked(node, tmp_path, written(lines)) if "usual" in one.text] == []


def test_pairs_that_share_their_second_text_alone_are_not_alike(node, tmp_path):
    first, *others = rows()
    questions = ["who was that", "where is the engine of it", "where is the Engine of it", "why"]
    lines = [[first[0], question, *first[1:]] for question in questions]
    lines += [[one[0], f"what of number {place}", *one[1:]] for place, one in enumerate(others)]
    made = written(lines, ["text", "question", *HEAD[1:]])
    found = checked(node, tmp_path, made, second_column="text", text_column="question", group_column=None)
    told = [one.text for one in found if "alike" in one.text or "repeat" in one.text]
    assert told == ["1 text repeats one of the same split: t.csv, row 4 = t.csv, row 3"]


def test_the_share_that_texts_have_in_common_is_that_of_their_shingles_and_pairs_above_the_bound_are_found():
    first = [f"w{number}" for number in range(40)]
    second = [*first[:39], "other"]  # one of 38 shingles differs
    assert common(shingles(first), shingles(second)) == pytest.approx(37 / 39)
    half = [*first[:20], *(f"x{number}" for number in range(20))]
    assert common(shingles(first), shingles(half)) < ALIKE
    assert near([first, half, second, first[:5]]) == [(0, 2)]
    assert near([["short"]] * 3) == []
