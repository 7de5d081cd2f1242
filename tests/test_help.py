"""ftlab help shows every page and knows every key."""

import re
import subprocess
import sys

import pytest

from ftlab.config import conf_dir, groups, options, shipped
from ftlab.guesses import leaves
from ftlab.help_command import MANUAL, help_of, keys, pages
from ftlab.modes import MODES
from ftlab.strategies.phases import KEYS
from tests.conftest import Command


def test_the_list_names_every_page_with_its_title(command: Command) -> None:
    told = command("help")
    assert told.code == 0
    for file in MANUAL.glob("*.md"):
        assert f"  {file.stem} " in told.out
        assert file.read_text().splitlines()[0].removeprefix("# ") in told.out


@pytest.mark.parametrize("page", pages())
def test_a_page_is_printed_as_it_stands_where_nobody_looks(page: str, command: Command) -> None:
    assert command("help", page).out == (MANUAL / f"{page}.md").read_text()


def test_every_key_of_conf_is_found(command: Command) -> None:
    """As Hydra reads them, not as help does."""
    there = {key.name for key in keys()}
    wanted = {name for file in conf_dir().glob("*.yaml") for name in leaves(shipped(file.stem))}
    for group in groups("train"):
        wanted |= {f"{group}.{name}" for option in options(group).values() for name in option if name != "_target_"}
    assert len(wanted) > 150
    assert wanted - there == set()


def test_a_key_is_told_with_its_default_and_meaning(command: Command) -> None:
    told = command("help", "trainer.max_epochs")
    meaning = "epochs of all phases together; auto: by the size of the data, see auto_epochs"
    assert f"trainer.max_epochs: auto\n    {meaning}\n    in conf/train.yaml" in told.out
    assert "optimizer.lr: 0.001" in command("help", "lr").out
    assert "optimizer.lr: 0.001" in command("help", "lr=").out


def test_what_is_neither_is_answered_with_the_nearest(command: Command) -> None:
    told = command("help", "tabels")
    assert told.code == 2
    assert told.err.startswith("ftlab: ftlab help tabels: no page and no key; did you mean 'tables'?")


@pytest.mark.parametrize("mode", sorted({*MODES} - {"help", *pages()}))
def test_a_mode_is_told_with_its_line_its_keys_and_pages_that_are_there(
    mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert help_of([mode]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"ftlab {mode}: {MODES[mode]}"
    assert second.endswith(f"ftlab {mode} --help")
    named = third.rpartition("ftlab help ")[2].split(" | ")
    assert named
    assert all(f"ftlab {mode}" in (MANUAL / f"{page}.md").read_text() for page in named)


def test_a_comment_is_understood_alone_and_predict_speaks_of_more_than_images() -> None:
    told = [(key.name, key.comment) for key in keys()]
    assert [name for name, comment in told if comment.startswith(("of these", "of them", "those of them"))] == []
    said = dict(told)
    assert all(word in said["input"] for word in ("image", "CSV", "Parquet", ".npz"))
    assert "checkpoints" in said["checkpoint.keep"]
    assert all("columns of the file" in comment for name, comment in told if name == "data.drop")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    words = f"{sys.executable} -m ftlab help speed | head -n 1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("# Speed\n", "")


@pytest.mark.parametrize(
    ("asked", "page"), [("phases", "strategies"), ("start", "strategies"), ("resume", "runs"), ("bundle", "runs")]
)
def test_a_word_of_a_heading_names_the_page_to_read(asked: str, page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert help_of([asked]) == 0
    heading = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  ftlab help {page} "))
    assert asked in heading.lower()
    assert f"# {heading[25:]}" in (MANUAL / f"{page}.md").read_text()


def test_a_word_that_only_texts_hold_names_their_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert help_of(["multirun"]) == 0
    told = capsys.readouterr().out
    for page in pages():
        there = "multirun" in re.sub(r"(?ms)^```.*?^```", "", (MANUAL / f"{page}.md").read_text()).lower()
        assert (f"  ftlab help {page} " in told) == there


def test_each_key_of_a_phase_is_explained() -> None:
    page = (MANUAL / "strategies.md").read_text()
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    assert [key for key in KEYS if f"`{key}`" not in rows] == []
