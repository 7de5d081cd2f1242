"""Questions about what SciPy's functions take and give, which their docstrings answer.

Real English text that needs no download. The questions are made by rule from the lists of parameters that each
docstring has, so of each it is known which characters answer it; some ask for a parameter of another function, which
the docstring does not answer.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from ftlab.data.base import Source, Splits
from ftlab.data.sources.questions import Question, Sharing, dealt
from ftlab.errors import UserError

PACKAGE = "scipy"
PARTS = ("linalg", "ndimage", "optimize", "signal", "spatial", "stats")
LATER = re.compile(r"\n(?:See Also|Notes|References|Examples|Warns|Raises|Attributes|Methods|Other Parameters)\n-+")
ENTRY = re.compile(r"^(\w+) : ([^\n]+)\n((?:[ ]{4}[^\n]*\n|[ ]*\n)+)", re.MULTILINE)
VALUE = r"``[^`\n]+``|`[^`\n]+`|'[^'\n]+'|-?\d+(?:\.\d+)?(?:e-?\d+)?|None|True|False"
DEFAULT = re.compile(rf"\b[Dd]efault(?:s| value)?(?: is| to|:|=)? *({VALUE})")
TYPE = re.compile(r"(?:[^,({]|\([^)]*\)|\{[^}]*\})+")
SENTENCE = re.compile(r"[A-Z][^.:;]{15,110}?(?=[.:;](?:\s|$))")
RETURNS = "\nReturns\n"
LENGTHS = (150, 600)  # characters of a docstring, least and most
EACH = 2  # questions of a docstring that it answers
WITHOUT = 3  # of so many docstrings one is also asked what it does not answer


class Entry(NamedTuple):
    """A parameter, or something that is returned, with the answers that its docstring gives."""

    name: str
    asked: dict[str, tuple[int, str]]  # by what is asked, the character at which the answer begins, and the answer


class Docstring(NamedTuple):
    file: str
    function: str
    text: str
    entries: tuple[Entry, ...]


class DocstringQuestions(Source):
    """Questions of one file are in one split, since its docstrings are alike."""

    def __init__(self, questions: int, split: Sequence[float]) -> None:
        """questions: how many at most, drawn by seed."""
        self.questions, self.split = questions, split

    def survey(self, seed: int) -> Splits:
        every = list(asked(docstrings()))
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(every), generator=generator)[: self.questions].sort().values.tolist()
        return dealt([every[place] for place in chosen], Sharing(self.split, self.learned), seed)


def docstrings() -> Iterator[Docstring]:
    """Those with a list of parameters, each text once. Raises: UserError where the package is not there."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError("data=docstring_questions: the files of scipy are not there; pip install scipy")
    root, seen = Path(spec.origin).parent, set[str]()
    for part in PARTS:
        for file in sorted((root / part).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
                if not isinstance(node, ast.FunctionDef | ast.ClassDef) or not (whole := ast.get_docstring(node)):
                    continue
                text = LATER.split(whole)[0].strip() + "\n"
                entries = tuple(entry for match in ENTRY.finditer(text) if (entry := entry_of(match, text)).asked)
                if LENGTHS[0] <= len(text) <= LENGTHS[1] and entries and text not in seen:
                    seen.add(text)
                    yield Docstring(f"{part}/{file.name}", node.name, text, entries)


def entry_of(match: re.Match[str], text: str) -> Entry:
    name, found = match[1], {}
    returned = RETURNS in text[: match.start()]
    kind = TYPE.match(match[2])
    if kind and kind[0].strip():
        begin = match.start(2) + len(kind[0]) - len(kind[0].lstrip())
        question = (
            "Which type has {name}, that {function} returns?"
            if returned
            else "Which type must {name} of {function} have?"
        )
        found[question] = (begin, kind[0].strip())
    if default := DEFAULT.search(match[0]):
        found["What is the default of {name} in {function}?"] = (match.start() + default.start(1), default[1])
    if sentence := SENTENCE.match(match[3].lstrip()):
        begin = match.start(3) + len(match[3]) - len(match[3].lstrip())
        question = "What is {name}, that {function} returns?" if returned else "What does {name} of {function} say?"
        found[question] = (begin, sentence[0])
    return Entry(name, found)


def asked(several: Iterator[Docstring]) -> Iterator[Question]:
    """In the order of the docstrings; which question is asked goes round, so that there are as many of each kind."""
    before: Docstring | None = None
    for number, one in enumerate(several):
        forms = sorted({form for entry in one.entries for form in entry.asked})
        for turn in range(min(EACH, len(forms))):
            form = forms[(number + turn) % len(forms)]
            there = [entry for entry in one.entries if form in entry.asked]
            entry = there[number % len(there)]
            yield made(one, form, entry.name, entry.asked[form])
        foreign = [] if before is None else [e for e in before.entries if not re.search(rf"\b{e.name}\b", one.text)]
        if foreign and number % WITHOUT == 0:
            other = foreign[number % len(foreign)]
            yield made(one, list(other.asked)[number % len(other.asked)], other.name, None)
        before = one


def made(one: Docstring, form: str, name: str, answer: tuple[int, str] | None) -> Question:
    question = form.format(name=name, function=one.function)
    start, texts = (None, ()) if answer is None else (answer[0], (answer[1],))
    return Question(f"{one.file}: {question}", question, one.text, texts, start, group=one.file)
