"""Terminals and files that are not UTF-8: the same words in ASCII, columns in line, and no end by a character."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ftlab.cli import main
from ftlab.errors import UserError
from ftlab.exits import guard
from ftlab.reports.terminal import print_plan
from ftlab.streams import make_printable
from ftlab.writers import Lines
from tests.conftest import close_handlers
from tests.reports.conftest import report  # noqa: F401  (a fixture)

PLAN = ("plan", "backbone.name=resnet10t", "backbone.pretrained=false")
NARROW = ("latin-1", "cp1252", "ascii")
Narrow = Callable[[], tuple[io.TextIOWrapper, io.TextIOWrapper]]


@pytest.fixture(params=NARROW)
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Narrow:
    """Puts standard output and error of that encoding, as strict as Python's, in place of those that pytest reads."""

    def put() -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=request.param, errors="strict") for _ in range(2))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return put


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a … b", "a ... b"), ("─━│┼└", "--|++"), ("2\u00d73·4", "2x3.4"), ("→ ≤ “q”", '-> <= "q"'), ("栗é\udce9", "???")],
)
def test_what_ascii_lacks_is_printed_by_its_likeness(text: str, expected: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="ftlab.plain")
    print(text, file=stream, end="")
    assert written(stream) == expected


def test_what_the_encoding_has_is_printed_as_it_is(narrow: Narrow) -> None:
    out, _ = narrow()
    make_printable()
    print("é \u00d7 … 栗")
    expected = {"latin-1": "é \u00d7 ... ?", "cp1252": "é \u00d7 … ?", "ascii": "? x ... ?"}
    assert written(out).strip() == expected[out.encoding]


def test_a_stream_of_utf_8_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdout", stream)
    make_printable()
    assert stream.errors == "surrogateescape"


def test_the_plan_has_its_words_and_columns_in_line(narrow: Narrow, report: dict[str, Any]) -> None:  # noqa: F811
    out, _ = narrow()
    make_printable()
    print_plan(report["stages"], report["plan"], Console(width=80))
    found = written(out)
    wide = Console(file=io.StringIO(), width=80)
    print_plan(report["stages"], report["plan"], wide)
    assert isinstance(wide.file, io.StringIO)
    here, there = ("".join(map(words, text.split("\n"))) for text in (found, wide.file.getvalue()))
    assert here == there
    rows = [line for line in found.splitlines() if line.count("|") > 1]
    assert len(rows) > 3
    assert len({tuple(i for i, char in enumerate(line) if char == "|") for line in rows}) == 1


def words(line: str) -> str:
    """Without what a table draws, and with … spelt out."""
    return "".join(char for char in line.replace("…", "...") if char not in " |+─" and not set(line) <= set(" -+─"))


@pytest.mark.parametrize("words", [("--help",), ("cache",), ("plan", "--help"), ("nó…",), ("train", "seed=…"), PLAN])
def test_commands_end_as_they_should(
    words: tuple[str, ...], narrow: Narrow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    streams = narrow()
    code = main(words)
    close_handlers()
    assert code == (2 if "…" in words[-1] else 0)
    out, err = (written(stream) for stream in streams)
    assert "Traceback" not in err
    assert bool(out) == (code == 0)


def test_a_user_error_reaches_standard_error(narrow: Narrow) -> None:
    _, err = narrow()
    make_printable()

    def wrong() -> int:
        raise UserError("栗鼠.png … is missing")

    assert guard(wrong) == 2
    dots = "…" if err.encoding == "cp1252" else "..."
    assert written(err).strip() == f"ftlab: ??.png {dots} is missing"


def test_lines_of_json_keep_every_character(narrow: Narrow) -> None:
    out, _ = narrow()
    make_printable()
    record = {"class": "栗鼠 …", "file": "ä.png"}
    with Lines(None).writing() as writer:
        writer.add({}, record, None)
    assert json.loads(written(out)) == record
