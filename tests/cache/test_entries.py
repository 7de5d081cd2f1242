"""Entries on disk: whole or not there, whoever writes, is killed, or removes them."""

import errno
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ftlab.cache import entries, locks
from ftlab.errors import UserError
from tests.conftest import ROOT

A, B, C = "a" * 32, "b" * 32, "c" * 32
ABOUT = {"network": "resnet10t", "value": "pooled", "data": "digits", "split": "train"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of entries, which is not there yet."""
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(code, ...) is another Python process; `key`, numpy and entries are at hand in it."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, *words: str) -> "subprocess.Popen[str]":
        head = "import os, sys, time; from pathlib import Path\nimport numpy as np; from ftlab.cache import entries\n"
        command = [sys.executable, "-c", head + code, *words]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def keep(key: str, rows: np.ndarray | None = None, used: float | None = None) -> Path:
    """A finished entry; `used` is its last use in seconds since 1970."""
    rows = np.arange(12, dtype=np.float32).reshape(3, 4) if rows is None else rows
    writing = entries.begin(key, rows.shape, rows.dtype, ABOUT)
    writing.rows[:] = rows
    writing.finish()
    file = entries.folder() / f"{key}.npy"
    if used is not None:
        os.utime(file, (used, used))
    return file


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} - {".lock"}


def keys() -> list[str]:
    return [one.key for one in entries.entries()]


# Writing and reading


def test_nothing_is_there_before_it_is_finished(folder):
    assert (entries.find(A), entries.entries(), entries.clear()) == (None, [], [])
    writing = entries.begin(A, (3, 4), np.float32, ABOUT)
    assert (entries.find(A), entries.entries()) == (None, [])
    assert not writing.rows.any()
    assert [one.path for one in entries.unfinished()] == [writing.path]
    writing.finish()
    assert entries.find(A) is not None
    assert names(folder) == {f"{A}.npy", f"{A}.json"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int64", ">f4"])
def test_rows_come_back_with_the_same_bits_and_numpy_reads_the_file(folder, dtype):
    rows = np.random.default_rng(0).integers(0, 200, (5, 2, 3)).astype(dtype)
    file = keep(A, rows)
    found = entries.find(A)
    assert found.dtype == rows.dtype
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal(np.load(file, allow_pickle=False), rows)


def test_an_entry_without_samples_is_an_entry():
    keep(A, np.zeros((0, 4), np.float32))
    assert entries.find(A).shape == (0, 4)


def test_what_is_found_or_finished_cannot_be_written():
    writing = entries.begin(A, (2, 2), np.float32, ABOUT)
    for rows in (writing.finish(), writing.rows, entries.find(A)):
        with pytest.raises(ValueError, match="read-only"):
            rows[0] = 1


def test_an_entry_says_what_it_is(folder):
    file = keep(A)
    (one,) = entries.entries()
    about = json.loads((folder / f"{A}.json").read_text())
    assert one.about == about
    assert ABOUT.items() <= about.items()
    assert (about["shape"], np.dtype(about["dtype"])) == ([3, 4], np.float32)
    assert one.bytes == about["bytes"] == file.stat().st_size
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", about["made"])


def test_a_use_is_remembered():
    keep(A, used=1000)
    before = time.time()
    entries.find(A)
    (one,) = entries.entries()
    assert before - 1 <= one.used <= time.time() + 1


def test_the_room_is_taken_on_the_disk_at_the_beginning():
    writing = entries.begin(A, (1000, 100), np.float32, ABOUT)
    assert writing.path.stat().st_blocks * 512 >= 400_000
    writing.abandon()


def test_what_is_abandoned_leaves_nothing(folder):
    entries.begin(A, (3, 4), np.float32, ABOUT).abandon()
    assert names(folder) == set()


@pytest.mark.parametrize("key", ["", "short", "../" + A, A.upper(), A + "/x", "g" * 32])
def test_a_key_that_is_no_hash_is_a_defect(key):
    with pytest.raises(ValueError, match="hexadecimal"):
        entries.find(key)


def test_objects_are_never_written():
    with pytest.raises(ValueError, match="holds objects"):
        entries.begin(A, (1,), object, ABOUT)


# Several processes


def test_ranks_write_disjoint_rows_of_one_entry(start):
    writing = entries.begin(A, (4, 3), np.float32, ABOUT)
    code = "rows = entries.join(Path(sys.argv[1])); rank = int(sys.argv[2])\nrows[rank::2] = rank + 1\n"
    for rank in (0, 1):
        assert start(code, str(writing.path), str(rank)).wait() == 0
    writing.finish()
    np.testing.assert_array_equal(entries.find(A), [[1] * 3, [2] * 3, [1] * 3, [2] * 3])


WRITE = (
    "key, value = sys.argv[1], int(sys.argv[2])\n"
    "writing = entries.begin(key, (300, 1000), np.int32, {})\n"
    "print(writing.path, flush=True); sys.stdin.readline()\n"
    "writing.rows[:] = value\n"
    "print((writing.finish() == value).all(), flush=True)\n"
)


def test_two_processes_that_write_one_key_both_succeed_and_no_reader_sees_a_part(start, folder):
    writers = [start(WRITE, A, "7"), start(WRITE, A, "8")]
    paths = {line(writer) for writer in writers}
    assert len(paths) == 2
    for writer in writers:
        say(writer)
    seen = []
    while any(writer.poll() is None for writer in writers):
        found = entries.find(A)
        seen.append(set() if found is None else set(np.unique(found).tolist()))
    assert [line(writer) for writer in writers] == ["True", "True"]
    assert set(np.unique(entries.find(A)).tolist()) in ({7}, {8})
    assert all(values in (set(), {7}, {8}) for values in seen)
    assert names(folder) == {f"{A}.npy", f"{A}.json"}


def test_a_writer_that_is_killed_leaves_no_entry_and_its_file_is_removed_later(start, folder):
    keep(B)
    writer = start(WRITE + "time.sleep(60)", A, "7")
    path = Path(line(writer))
    assert path.parent == folder
    assert entries.clear()[0].key == B
    assert path.exists()  # its writer lives
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert entries.find(A) is None
    assert [one.path for one in entries.unfinished()] == [path]
    (removed,) = entries.make_room(10**9, 1)
    assert (removed.path, removed.bytes) == (path, 300 * 1000 * 4 + 128)
    assert names(folder) == set()


def test_readers_see_whole_rows_or_nothing_while_others_write_and_remove(start):
    code = "for turn in range(80):\n    writing = entries.begin(sys.argv[1], (50, 20), np.int32, {})\n"
    code += "    writing.rows[:] = turn; writing.finish(); turn % 2 and entries.clear()\n"
    writers = [start(code, A), start(code, A)]
    found = 0
    while any(writer.poll() is None for writer in writers):
        rows = entries.find(A)  # a warning, of an entry that is not whole, would fail here
        assert rows is None or len(np.unique(rows)) == 1
        found += rows is not None
    assert [writer.returncode for writer in writers] == [0, 0]
    assert found > 10


# Stops the process dead at its n-th call of something that changes a file, for every n: kill -9 at any moment.
DIE = """
steps = iter(range(int(sys.argv[2])))
def dies(function):
    def step(*args, **kwargs):
        if next(steps, None) is None:
            os.kill(os.getpid(), 9)
        return function(*args, **kwargs)
    return step
for name in ("open", "write", "replace", "fsync", "posix_fallocate", "close", "unlink"):
    setattr(os, name, dies(getattr(os, name)))
writing = entries.begin(sys.argv[1], (4, 2), np.int32, {})
writing.rows[:] = 5
writing.finish()
print("done")
"""


def test_a_kill_at_any_step_leaves_a_whole_entry_or_none(start, folder):
    killed = 0
    for step in range(100):
        process = start(DIE, A, str(step))
        ended = process.wait()
        found = entries.find(A)  # a warning, of an entry that is not whole, would fail here
        assert found is None or (found == 5).all()
        assert found is not None or ended == -signal.SIGKILL
        entries.clear()
        assert names(folder) == set() if folder.exists() else killed == 0
        if ended == 0:
            break
        killed += 1
    assert killed > 8


def test_a_forked_worker_does_not_keep_the_file_of_a_killed_writer_alive(start):
    code = (
        "writing = entries.begin(sys.argv[1], (3,), np.int32, {})\nchild = os.fork()\n"
        "if child == 0:\n    time.sleep(60); os._exit(0)\n"
        "time.sleep(0.3); print(child, flush=True); os._exit(1)\n"
    )
    writer = start(code, A)
    child = int(line(writer))
    writer.wait()
    os.kill(child, 0)  # it is alive
    assert [one.key for one in entries.clear()] == [A]
    os.kill(child, signal.SIGKILL)


# Files that are not whole


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def empty(file: Path) -> None:
    file.write_bytes(b"")


def without_its_text(file: Path) -> None:
    file.with_suffix(".json").unlink()


def with_a_list_for_a_text(file: Path) -> None:
    file.with_suffix(".json").write_text("[1]")


def of_another_shape(file: Path) -> None:
    np.save(file, np.zeros((2, 2), np.float32))


def zipped(file: Path) -> None:
    with file.open("wb") as stream:
        np.savez(stream, rows=np.zeros(3))


@pytest.mark.parametrize(
    "spoil", [torn, longer, empty, without_its_text, with_a_list_for_a_text, of_another_shape, zipped]
)
def test_a_spoiled_entry_counts_as_not_there_and_is_removed_with_a_warning(folder, spoil):
    spoil(keep(A))
    with pytest.warns(UserWarning, match=f"{A}.npy: is no whole entry .*; removed, and computed again"):
        assert entries.find(A) is None
    assert names(folder) == set()
    keep(A)  # and again
    assert entries.find(A) is not None


class Hostile:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("how", ["an array of objects", "a bare pickle"])
def test_a_pickle_is_never_loaded(folder, tmp_path, how):
    file = keep(A)
    hostile = np.array([Hostile(tmp_path / "ran")], dtype=object)
    if how == "a bare pickle":
        file.write_bytes(pickle.dumps(hostile))
    else:
        np.save(file, hostile)
        about = {"shape": [1], "dtype": hostile.dtype.str}
        file.with_suffix(".json").write_text(json.dumps(about))
    with pytest.warns(UserWarning, match="is no whole entry"):
        assert entries.find(A) is None
    assert not (tmp_path / "ran").exists()
    assert names(folder) == set()


def test_a_header_with_any_wrong_byte_is_no_error():
    file = keep(A)
    good, about = file.read_bytes(), file.with_suffix(".json").read_text()
    refused = 0
    for place in range(0, 80):
        file.write_bytes(good[:place] + bytes([good[place] ^ 0x15]) + good[place + 1 :])
        file.with_suffix(".json").write_text(about)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = entries.find(A)
        assert found is None or (found.shape == (3, 4) and found.dtype == np.float32)
        assert (found is None) == any("is no whole entry" in str(one.message) for one in said)
        refused += found is None
    assert refused > 60


def test_a_file_that_cannot_be_opened_now_is_not_removed(folder):
    (folder / f"{A}.npy").mkdir(parents=True)
    with pytest.warns(UserWarning, match=f"{A}.npy: Is a directory; computed again"):
        assert entries.find(A) is None
    assert names(folder) == {f"{A}.npy"}


# Room


def size(key: str) -> int:
    return (entries.folder() / f"{key}.npy").stat().st_size


def test_the_least_recently_used_go_first_and_no_more_than_needed():
    for key, used in ((A, 3000), (B, 1000), (C, 2000)):
        keep(key, used=used)
    assert keys() == [B, C, A]
    one = size(A)
    assert entries.make_room(limit=4 * one, needed=one) == []
    assert [gone.key for gone in entries.make_room(limit=3 * one, needed=one)] == [B]
    entries.find(C)  # now A is the one not used for longest
    assert [gone.key for gone in entries.make_room(limit=2 * one, needed=one)] == [A]
    assert keys() == [C]
    assert [gone.key for gone in entries.make_room(limit=one, needed=one)] == [C]


def test_what_can_never_fit_is_told_and_costs_no_entry():
    keep(A)
    with pytest.raises(UserError, match=r"2\.0 MB do not fit: at most 1\.0 MB are allowed.*cache=off"):
        entries.make_room(limit=10**6, needed=2 * 10**6)
    assert keys() == [A]


def test_what_others_are_writing_counts():
    writing = entries.begin(A, (1000,), np.float32, ABOUT)
    assert entries.make_room(limit=4128 + 100, needed=100) == []
    with pytest.raises(UserError, match="do not fit"):
        entries.make_room(limit=4128 + 99, needed=100)
    writing.finish()
    assert [one.key for one in entries.make_room(limit=4128 + 99, needed=100)] == [A]


def test_who_reads_an_entry_keeps_its_rows_when_it_is_removed_or_written_again():
    keep(A)
    rows = entries.find(A)
    keep(A, np.zeros((3, 4), np.float32))
    entries.clear()
    np.testing.assert_array_equal(rows, np.arange(12).reshape(3, 4))


def test_other_files_in_the_folder_are_not_touched(folder):
    keep(A)
    others = {"notes.txt", "mine.npy", "mine.json", f"{A[:31]}.npy", f"{B}.npy.bak", "x.1-00000000.partial"}
    for name in others:
        (folder / name).write_text("mine")
    (folder.parent / f"{B}.npy").write_text("mine")
    entries.make_room(limit=1, needed=1)
    entries.clear()
    assert names(folder) == others
    assert (folder.parent / f"{B}.npy").exists()


def test_rests_of_a_kill_between_two_files_are_removed(folder):
    keep(A)
    (folder / f"{B}.json").write_text("{}")  # its .npy never came
    (folder / f".{B}.json.123.tmp").write_text("{")
    assert len(entries.make_room(10**9, 1)) == 2
    assert names(folder) == {f"{A}.npy", f"{A}.json"}


def test_without_locks_a_file_counts_as_dead_after_a_day(monkeypatch, folder):
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    writing = entries.begin(A, (3,), np.float32, ABOUT)
    assert entries.clear() == []
    old = time.time() - 2 * 86_400
    os.utime(writing.path, (old, old))
    assert [one.key for one in entries.clear()] == [A]
    writing.abandon()


# Disks


def test_more_than_the_disk_has_is_told_at_once_and_leaves_nothing(folder):
    started = time.perf_counter()
    with pytest.raises(UserError, match=r"disk is full.* 17592186\.0 MB are needed; FTLAB_CACHE=DIR .*cache=off"):
        entries.begin(A, (2**44 - 128,), np.uint8, ABOUT)
    assert time.perf_counter() - started < 1
    assert names(folder) == set()


def test_a_disk_that_is_full_in_truth_is_an_error_and_no_signal(mounted, monkeypatch):
    small = mounted("size=1m")
    monkeypatch.setenv("FTLAB_CACHE", str(small))
    monkeypatch.setattr(entries, "free", lambda folder: 10**9)  # another program takes the room in this moment
    with pytest.raises(UserError, match="disk is full"):
        entries.begin(A, (2_000_000,), np.uint8, ABOUT)
    assert names(small / "features") == set()
    writing = entries.begin(A, (900_000,), np.uint8, ABOUT)
    with pytest.raises(OSError, match="No space left"):
        (small / "other").write_bytes(b"x" * 500_000)
    writing.rows[:] = 1  # its room is its own
    with pytest.warns(UserWarning, match="is not kept for the next run: the disk is full"):
        assert (writing.finish() == 1).all()
    assert names(small / "features") == set()


def test_a_folder_that_cannot_be_written_is_named_with_the_ways_out(mounted, monkeypatch):
    closed = mounted("size=1m,ro")
    monkeypatch.setenv("FTLAB_CACHE", str(closed))
    with pytest.raises(UserError) as caught:
        entries.begin(A, (3,), np.float32, ABOUT)
    assert f"{closed / 'features'}: cannot be written" in str(caught.value)
    assert "FTLAB_CACHE=DIR" in str(caught.value)
    assert "cache=off" in str(caught.value)


def test_entries_of_a_read_only_folder_are_used(mounted, monkeypatch):
    shared = mounted("size=1m")
    monkeypatch.setenv("FTLAB_CACHE", str(shared))
    keep(A, used=1000)
    subprocess.run(["mount", "-o", "remount,ro", str(shared)], check=True)
    assert entries.find(A).shape == (3, 4)
    assert entries.clear() == []
    assert keys() == [A]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "file"))
    assert entries.entries() == []
    with pytest.raises(UserError, match=r"file/features: cannot be written"):
        entries.begin(A, (3,), np.float32, ABOUT)


def test_a_cache_that_is_deleted_during_a_run_costs_the_entry_and_not_the_rows(folder):
    writing = entries.begin(A, (3,), np.float32, ABOUT)
    writing.rows[:] = 2
    shutil.rmtree(folder)
    with pytest.warns(UserWarning, match="is not kept for the next run"):
        assert writing.finish().tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("own", "user", "expected"),
    [
        ("/x", "/y", "/x"),
        (None, "/y", "/y/ftlab"),
        (None, None, "/me/.cache/ftlab"),
        ("", "", "/me/.cache/ftlab"),
    ],
)
def test_the_folder_is_where_the_environment_says(monkeypatch, own, user, expected):
    from ftlab.data.checks import cache
    from ftlab.places import root

    monkeypatch.setenv("HOME", "/me")
    for name, value in (("FTLAB_CACHE", own), ("XDG_CACHE_HOME", user)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert root() == Path(expected)
    assert (entries.folder(), cache.folder()) == (root() / "features", root() / "checks")
