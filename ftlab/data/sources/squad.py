"""Questions in JSON files of the form of SQuAD, 1.1 and 2.0: articles of paragraphs, a context and its questions each.

Source of the form: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", and 2018,
"Know What You Don't Know: Unanswerable Questions for SQuAD".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.data.base import Source, Splits
from ftlab.data.sources.questions import Question, Sharing, dealt
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder, not_there
from ftlab.files.paths import printable
from ftlab.problems import Fault

Node = Mapping[str, Any]


class Squad(Source):
    """`train`, `val` and `test` are files below `root`. A question with `is_impossible`, or without an answer, has
    none. Raises (survey): UserError naming the file, for what is wrong as a whole."""

    def __init__(self, root: str, train: str | None, val: str | None, test: str | None, split: Sequence[float]) -> None:
        self.root, self.split = root, split
        self.files = {name: file for name, file in (("train", train), ("val", val), ("test", test)) if file}

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        if not self.files or (self.learned and "train" not in self.files):
            raise UserError(
                "data.train: no file is given; data.train=train-v2.0.json, and data.val= where there is one"
            )
        found = [one for split, name in self.files.items() for one in questions(root / name, split)]
        return dealt(found, Sharing(self.split, self.learned), seed)


def questions(path: Path, split: str) -> Iterator[Question | Fault]:
    """Raises: UserError for a file that is missing, or of another form."""
    for number, paragraph in enumerate(paragraphs(path), start=1):
        context = paragraph.get("context")
        for place, node in enumerate(paragraph.get("qas") or [], start=1):
            name = f"{printable(path.name)}, paragraph {number}, question {place}"
            yield question(node, context, name, split)


def paragraphs(path: Path) -> Iterator[Node]:
    if not path.is_file():
        raise UserError(f"{printable(path)}: {not_there(path)}")
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no UTF-8 either
        raise UserError(f"{printable(path)}: not a JSON file: {error}") from error
    articles = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(articles, list):
        raise UserError(f"{printable(path)}: not of the form of SQuAD, whose articles are in a list called data")
    for article in articles:
        for paragraph in (article.get("paragraphs") if isinstance(article, dict) else None) or []:
            if not isinstance(paragraph, dict):
                raise UserError(f"{printable(path)}: not of the form of SQuAD: a paragraph is no object")
            yield paragraph


def question(node: Any, context: Any, name: str, split: str) -> Question | Fault:
    answers = [] if not isinstance(node, dict) or node.get("is_impossible") else node.get("answers") or []
    good = isinstance(node, dict) and isinstance(node.get("question"), str) and isinstance(context, str)
    if not good or not all(map(is_answer, answers)):
        what = "needs the texts question and context, and answers with text and answer_start"
        return Fault(name, "questions are not of the form of SQuAD", f"{name}: {what}.")
    texts = tuple(dict.fromkeys(one["text"] for one in answers))
    start = answers[0].get("answer_start") if answers else None
    return Question(name, node["question"], context, texts, start, split)


def is_answer(one: Any) -> bool:
    return (
        isinstance(one, dict) and isinstance(one.get("text"), str) and isinstance(one.get("answer_start"), int | None)
    )
