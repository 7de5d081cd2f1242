"""What all files of questions have in common: from a question and its context to splits.

Shapes: n samples.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftlab.data.base import Samples, Splits
from ftlab.data.groups import numbered
from ftlab.data.sources.split_names import SPLITS
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.paths import short
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.spans import NOWHERE, Answer, Answers, Spans


@dataclass(frozen=True)
class Question:
    """As a file has it."""

    name: str  # what a person calls it: a row, or an id
    question: str
    context: str
    texts: tuple[str, ...]  # right answers, the one that is learned first; () where the context has none
    start: int | None  # the character at which the first of them begins; None: where its text stands first
    split: str = "train"
    group: str = ""  # never in two splits; "": those of one context


@dataclass(frozen=True)
class Sharing:
    """How questions become splits."""

    split: Sequence[float]
    learned: bool = True  # Source.learned


class Judge:
    """Decides on each question, and keeps what there is to know of those that can be used."""

    def __init__(self) -> None:
        self.first: list[str] = []  # questions whose answer stands in several places, of which the first is taken

    def answer(self, one: Question) -> Answer | Fault:
        """Blanks at both ends of an answer are none of it."""
        if not one.question.strip():
            return fault(one, "questions are empty", "the question is empty")
        if not one.context.strip():
            return fault(one, "contexts are empty", "the context is empty")
        if not one.texts:
            return Answer(one.context, NOWHERE)
        texts = tuple(text.strip() for text in one.texts)
        if not all(texts):
            return fault(one, "answers are empty", "an answer is empty; one that is not there is left out as a whole")
        start = self._start(one, texts[0])
        return start if isinstance(start, Fault) else Answer(one.context, start, texts)

    def _start(self, one: Question, text: str) -> int | Fault:
        found = one.context.find(text)
        if found < 0:
            what = f"the answer '{short(text)}' is not in its context"
            return fault(one, "answers are not in their context", what)
        if one.start is None:
            self.first += [one.name] if one.context.find(text, found + 1) >= 0 else []
            return found
        begin = one.start + len(one.texts[0]) - len(one.texts[0].lstrip())
        if begin < 0 or one.context[begin : begin + len(text)] != text:
            what = f"the answer '{short(text)}' is not at character {one.start} of its context, but at {found}"
            return fault(one, "answers are not where they are said to be", what)
        return begin


def fault(one: Question, kind: str, what: str) -> Fault:
    return Fault(one.name, kind, f"{one.name}: {what}.")


def dealt(questions: Sequence[Question | Fault], sharing: Sharing, seed: int) -> Splits:
    """Raises: UserError where none of train can be used."""
    judge, good, column = Judge(), list[Question](), list[Answer]()
    faults = [one for one in questions if isinstance(one, Fault)]
    for one in questions:
        if isinstance(one, Question):
            found = judge.answer(one)
            if isinstance(found, Fault):
                faults.append(found)
            else:
                good.append(one)
                column.append(found)
    if sharing.learned and not any(one.split == "train" for one in good):
        raise UserError(faults[0].reason if faults else "no question is of the train split")
    parts = split_up(good, column)
    target = Spans()
    train, val, test, said = complete(target, parts["train"], *_others(parts), sharing.split, seed)
    several = problem("answers are found several times in their context", "note", judge.first, "the first is taken")
    return Splits(train, val, test, target, said, (*several, *doubled(good)), tuple(faults), kind="text")


def split_up(questions: Sequence[Question], column: Sequence[Answer]) -> dict[str, Samples]:
    groups = numbered([one.group or one.context for one in questions])
    parts = {}
    for split in SPLITS:
        places = [place for place, one in enumerate(questions) if one.split == split]
        inputs = [(questions[place].question, questions[place].context) for place in places]
        names = [questions[place].name for place in places]
        parts[split] = Samples(inputs, Answers([column[place] for place in places]), names, groups[places])
    return parts


def _others(parts: Mapping[str, Samples]) -> tuple[Samples | None, Samples | None]:
    val, test = (parts[split] if len(parts[split]) else None for split in ("val", "test"))
    return val, test


def doubled(questions: Sequence[Question]) -> list[Problem]:
    """Questions that are asked twice of one context, with the same answers and with others."""
    first: dict[tuple[str, str], Question] = {}
    found: dict[str, list[str]] = defaultdict(list)
    for one in questions:
        before = first.setdefault((one.question.strip(), one.context), one)
        if before is not one:
            found["same" if before.texts == one.texts else "other"].append(one.name)
    return [
        *problem("questions are there twice", "warning", found["same"], "remove one of each"),
        *problem("questions are there twice with other answers", "warning", found["other"], "decide on one"),
    ]
