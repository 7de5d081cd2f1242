import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from ftlab.errors import UserError
from ftlab.files.writing import read_report, write_json


def test_a_report_reads_back_as_it_was_written(report: dict[str, Any], tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", report)
    assert read_report(tmp_path) == report


def test_figures_that_are_not_finite_become_null_and_are_named(report: dict[str, Any], tmp_path: Path) -> None:
    report["history"][3]["train"]["loss"] = math.nan
    report["best"]["value"] = math.inf
    write_json(tmp_path / "report.json", report)
    back = read_report(tmp_path)
    assert back["history"][3]["train"]["loss"] is None
    assert back["best"]["value"] is None
    assert len(back["warnings"]) == 1
    assert "history[3].train.loss (nan)" in back["warnings"][0]
    assert "best.value (inf)" in back["warnings"][0]
    assert report["warnings"] == []  # the caller's report is not changed


def test_hundreds_of_lost_figures_are_counted_in_one_warning(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"schema_version": 1, "loss": [math.nan] * 300})
    (warning,) = read_report(tmp_path)["warnings"]
    assert warning.startswith("300 not finite")
    assert warning.endswith("and 290 more.")


def test_a_file_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "report.json", {"schema_version": 1, "name": name})
    assert read_report(tmp_path)["name"] == name


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"old": True})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": True}
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"old": True})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_folder_without_a_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No report\.json in .*nowhere"):
        read_report(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b'{"schema_version": 7}'])
def test_a_broken_or_foreign_report_is_an_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(UserError, match=r"report\.json.*accepted"):
        read_report(tmp_path)
