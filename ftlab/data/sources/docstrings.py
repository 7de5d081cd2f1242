"""Descriptions of SciPy's functions and classes, out of its own files: which of its parts is each of?

Real English text that needs no download, of people who write for people.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.checks import cache
from ftlab.data.checks.near_texts import words_of
from ftlab.data.groups import numbered
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.targets.base import Target
from ftlab.targets.classes import Classes
from ftlab.targets.masked_tokens import MaskedTokens, column

PACKAGE = "scipy"
PARTS = ("integrate", "interpolate", "io", "linalg", "optimize", "signal", "sparse", "spatial", "special", "stats")
DOC = "_doc.py"  # how a file ends that says again what functions of the one beside it do
WORDS = 5  # that a description has at least
END = "\nParameters\n"  # what follows is a list of names and types
VERSION = 1  # of what is read
STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)  # what may hold a function


class Docstring(NamedTuple):
    part: str
    file: str
    text: str


class Docstrings(Source):
    """The part before the list of parameters; one that stands in several places, in whatever case, is left out.
    Descriptions of one file are in one split, since they are alike. Under task=masked_language the texts stand for
    themselves."""

    def __init__(self, split: Sequence[float]) -> None:
        self.split = split

    def survey(self, seed: int) -> Splits:
        found = read()
        times = Counter(tuple(words_of(one.text)) for one in found)
        kept = [one for one in found if times[tuple(words_of(one.text))] == 1]
        target: Target = Classes(PARTS)
        labels = torch.tensor([PARTS.index(one.part) for one in kept])
        if self.target_kind == MaskedTokens.kind:
            target, labels = MaskedTokens(), column(len(kept))
        names = [f"{one.file}/{number}" for number, one in enumerate(kept)]
        groups = numbered([one.file.replace(DOC, ".py") for one in kept])
        whole = Samples([one.text for one in kept], labels, names, groups)
        train, val, test, said = complete(target, whole, None, None, self.split, seed)
        return Splits(train, val, test, target, said, kind="text")


def read() -> list[Docstring]:
    """Those of all parts, kept for the next time, as to parse the files takes seconds.

    Raises: UserError where the package is not there.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError("data=docstrings: the files of scipy are not there; pip install scipy")
    root = Path(spec.origin).parent
    files = [(file, part) for part in PARTS for file in sorted((root / part).rglob("*.py")) if not is_test(file)]
    kept = cache.entry([str(file) for file, _ in files], load=True, reading=f"docstrings {VERSION}")
    there = cache.read(kept) if kept else None
    if there:
        return [Docstring(*one) for one in there]
    found = [one for file, part in files for one in of_file(file, part, str(file.relative_to(root)))]
    if kept:
        cache.write(kept, found)
    return found


def is_test(file: Path) -> bool:
    return "tests" in file.parts


def of_file(file: Path, part: str, name: str) -> Iterator[Docstring]:
    for node in documented(ast.parse(file.read_text(encoding="utf8"))):
        if whole := ast.get_docstring(node):
            text = whole.split(END)[0].strip()
            if len(text.split()) >= WORDS:
                yield Docstring(part, name, text)


def documented(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes, the outer ones first; expressions, which are most of a file, are passed by."""
    level: list[ast.AST] = [tree]
    while level:
        yield from (node for node in level if isinstance(node, ast.FunctionDef | ast.ClassDef))
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, STATEMENTS)]
