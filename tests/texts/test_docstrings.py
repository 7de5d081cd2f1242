"""Descriptions of functions: which are taken, and that files are parsed once."""

import ast
import json
from pathlib import Path

import pytest

from ftlab.data.checks import cache
from ftlab.data.sources.docstrings import PARTS, Docstrings, documented, of_file, read

CODE = '''"""Of the module: not taken."""
class Outer:
    """A class that has five words."""
    def inner(self):
        """Short."""
        try:
            def hidden(x):
                """A function that lies deep inside.

                Parameters
                ----------
                x : int
                """
        except ValueError:
            pass
match 1:
    case 1:
        def third(): "Another one behind a case of match."
'''


def test_functions_and_classes_are_taken_wherever_they_lie_without_their_parameters(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)
    found = list(of_file(tmp_path / "code.py", "io", "io/code.py"))
    assert [one.text for one in found] == [
        "A class that has five words.",
        "Another one behind a case of match.",
        "A function that lies deep inside.",
    ]
    whole = {n for n in ast.walk(ast.parse(CODE)) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert {n.name for n in documented(ast.parse(CODE))} == {n.name for n in whole}  # type: ignore[attr-defined]


def test_what_was_read_is_kept_and_taken_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path))
    first = read()
    (file,) = cache.entries()
    assert read() == first
    kept = json.loads(file.read_text())
    kept[0][2] = "written by the test"
    file.write_text(json.dumps(kept))
    assert read()[0].text == "written by the test"
    splits = Docstrings([0.7, 0.15, 0.15]).survey(0)
    assert splits.target.described()["classes"] == list(PARTS)
    names = {split: {name.rpartition("/")[0] for name in part.names} for split, part in splits.parts().items()}
    assert not names["train"] & names["test"]  # descriptions of one file are in one split
