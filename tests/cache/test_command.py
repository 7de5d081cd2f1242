"""ftlab cache: what it prints, what it removes, how it ends."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ftlab import cache_command as mode
from ftlab.cache import entries
from ftlab.data.checks import cache as checks
from tests.conftest import ROOT, Command

KEYS = ("1" * 32, "2" * 32, "3" * 32)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own; the command is typed in another folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FTLAB_CACHE", str(folder))
    return folder


def fill() -> None:
    """Two entries of 400 bytes and a header of 128, the older one used last in 2001; two results of 2 bytes."""
    for key, split, used in zip(KEYS, ("train", "val"), (10**9, 2 * 10**9), strict=False):
        about = {"network": "vit_tiny_patch16_224", "value": "blocks.11", "data": "image_folder", "split": split}
        writing = entries.begin(key, (10, 2, 5), np.float32, about)
        writing.finish()
        os.utime(entries.folder() / f"{key}.npy", (used, used))
        assert checks.write(checks.folder() / f"{key}.json", {})


def test_an_empty_cache_is_said_and_is_no_error(command: Command, cache: Path) -> None:
    for words in ((), ("action=list",)):
        ended = command("cache", *words)
        assert (ended.code, ended.out, ended.err) == (0, f"the cache is empty: nothing is kept in {cache}\n", "")
    assert list(Path.cwd().iterdir()) == []
    assert list(cache.iterdir()) == []


def test_the_list_tells_what_is_kept_the_last_used_first_and_the_sums(command: Command, cache: Path) -> None:
    fill()
    ended = command("cache")
    assert (ended.code, ended.err) == (0, "")
    _, _, first, second, _, arrays, results = (line.split("  ") for line in ended.out.splitlines())
    assert [cell.strip() for cell in first if cell][:4] == [
        "vit_tiny_patch16_224 blocks.11",
        "image_folder val",
        "10 x 2 x 5",
        "528 B",
    ]
    assert first[-1].strip().startswith("2033-05-1")
    assert second[-1].strip().startswith("2001-09-0")
    assert arrays == [f"2 entries, 1.06 kB in {cache / 'features'}"]
    assert results == [f"2 results of ftlab check, 4 B in {cache / 'checks'}"]


def test_the_list_fits_a_terminal_of_80_columns_with_every_figure_on_one_line() -> None:
    fill()
    written = io.StringIO()
    mode.show(Console(file=written, width=80, force_terminal=True, color_system=None))
    table = written.getvalue().split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    for figure in ("10 x 2 x 5", "528 B", "2033-05-1"):
        assert figure in table


def test_what_no_process_has_finished_is_told(command: Command) -> None:
    writing = entries.begin(KEYS[0], (100,), np.uint8, {})
    assert command("cache").out == "1 unfinished, 228 B: being written, or left by a process that was killed\n"
    writing.abandon()


def test_clear_removes_both_kinds_and_says_how_much(command: Command, cache: Path) -> None:
    fill()
    (cache / "checks" / "mine.json").write_text("{}")
    ended = command("cache", "action=clear")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "removed 2 entries, 1.06 kB; 2 results of ftlab check, 4 B\n"
    assert {file.name for file in cache.rglob("*") if file.is_file()} == {".lock", "mine.json"}
    assert command("cache", "action=clear").out == "removed 0 entries, 0 B; 0 results of ftlab check, 0 B\n"


def test_clear_leaves_what_is_being_written_and_says_so(command: Command) -> None:
    writing = entries.begin(KEYS[0], (100,), np.uint8, {})
    ended = command("cache", "action=clear")
    assert ended.code == 0
    assert f"left there: {writing.path}: a running process writes it" in ended.out
    assert (writing.finish() == 0).all()
    assert entries.find(KEYS[0]) is not None


def test_what_cannot_be_removed_ends_with_2(command: Command, mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = mounted("size=1m")
    monkeypatch.setenv("FTLAB_CACHE", str(shared))
    fill()
    subprocess.run(["mount", "-o", "remount,ro", str(shared)], check=True)
    ended = command("cache", "action=clear")
    assert ended.code == 2
    assert ended.out == "removed 0 entries, 0 B; 0 results of ftlab check, 0 B\n"
    assert [line.split(": ")[1] for line in ended.err.splitlines()] == [
        str(shared / "features"),
        str(shared / "checks"),
    ]


def test_a_wrong_action_ends_with_2_and_the_nearest_name(command: Command) -> None:
    fill()
    ended = command("cache", "action=clean")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "ftlab: action=clean: no such value; did you mean 'clear'? Accepted: clear, list.\n"
    assert len(entries.entries()) == 2


def test_a_text_beside_an_entry_cannot_steer_the_terminal(command: Command) -> None:
    entries.begin(KEYS[0], (1,), np.uint8, {"network": "\x1b[2Jgone", "value": ["a list"]}).finish()
    entries.begin(KEYS[1], (1,), np.uint8, {}).finish()
    (entries.folder() / f"{KEYS[1]}.json").write_text("no json")
    ended = command("cache")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "?[2Jgone ['a list']" in ended.out
    assert f"{KEYS[1]}.npy" in ended.out


def test_the_list_does_without_torch(tmp_path: Path) -> None:
    code = "import sys; from ftlab.cli import main; print(main(['cache']), 'torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
